#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/random.h"
#include "simulation/clients.h"
#include "simulation/quiet_log.h"
#include "simulation/sim_node.h"

namespace clickmill::simulation {

/// What a chain does otherwise than the product, so that the checks can be seen to
/// notice. Each seam is one that the product has anyway.
struct Break {
  bool answer_when_written = false;  ///< acknowledges before the sync
  bool commit_when_sent = false;     ///< the router calls a batch committed at once
  bool low_water_is_now = false;     ///< batches' low-waters ignore what is held
  bool never_again = false;          ///< resends don't say that they are
  bool free_at_once = false;         ///< journal files go whatever they hold
};

/// The way of a click on one node, from the spool to the stream: a SimNode that leads
/// every partition, and its clients. Beside the node's fault model commits are refused
/// for a while (`outage`).
class Chain {
 public:
  struct Options {
    uint32_t partitions = 3;
    uint64_t spool_memory_bytes = 64 << 20;
    uint64_t buffer_bytes = 1 << 20;
    uint64_t reserve_bytes = 0;
    Break broken{};
  };
  Chain(uint64_t seed, Options options);

  std::optional<std::string> begin() { return node_.begin(); }
  std::optional<std::string> recover() { return node_.recover(); }
  std::optional<std::string> open() { return node_.open(); }
  void die(bool power_loss);

  void send_click(uint64_t identity, int64_t timestamp_off_ms, log::Lane lane) {
    clients_.send(node_, identity, EventMs(clock.wall_ms() + timestamp_off_ms), lane);
  }
  void pump() { node_.pump(); }
  bool run_worker(size_t most) { return node_.run_workers(most); }
  void run_background(size_t most) { node_.run_background(most); }
  void maintain();  ///< as the workers do between messages
  void set_outage(bool on) { outage_ = on; }
  /// Until nothing waits anywhere; false when that does not come.
  bool settle();

  /// What is wrong now: with the tallies, or at the end with every click's fate.
  std::optional<std::string> check_tallies() const;
  std::optional<std::string> check_at_the_end() const;
  /// After settle(): whether the journal shrinks to what the product leaves in peace.
  std::optional<std::string> check_journal_shrinks();

  const QuietLog quiet;
  ManualClock clock{1'782'295'200'000};
  SimFileSystem& files() { return node_.files; }
  bool journal_fails() { return node_.journal_fails(); }
  bool clicks_wait() { return node_.machine().journal().clicks_wait(); }
  uint64_t acknowledged() const { return clients_.acknowledged().size(); }
  uint64_t held_clicks() { return node_.machine().spool().held_clicks(); }
  uint64_t spool_memory() { return node_.machine().spool().memory_bytes(); }
  uint64_t journal_files() { return node_.machine().journal().file_count(); }
  const cluster::Partition& partition(size_t at) const { return *node_.partitions()[at]; }
  std::optional<std::string> failure() const { return node_.failure(); }
  stream::Tally total() const { return node_.total(); }

 private:
  class LossyRouter;
  SimNode::Options node_options();

  const Options options_;
  Clients clients_;
  SimNode node_;
  bool outage_ = false;
};

}  // namespace clickmill::simulation
