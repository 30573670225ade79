#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/node_clock.h"
#include "base/random.h"
#include "click/batch.h"
#include "cluster/partition.h"
#include "collector/forwarder.h"
#include "collector/spool.h"
#include "log/journal.h"
#include "simulation/quiet_log.h"
#include "simulation/sim_file_system.h"
#include "stream/memory_state_store.h"

namespace clickmill::simulation {

/// What a chain does otherwise than the product, so that the checks can be seen to
/// notice. Each seam is one that the product has anyway.
struct Break {
  bool answer_when_written = false;  ///< acknowledges before the sync
  bool commit_when_sent = false;     ///< the router calls a batch committed at once
  bool low_water_is_now = false;     ///< low-waters ignore what is held
  bool never_again = false;          ///< resends don't say that they are
  bool free_at_once = false;         ///< journal files go whatever they hold
};

/// The way of a click on one node, from the spool to the stream, as the engine
/// builds it, on a simulated disk and without threads: the test decides what runs
/// when, what fails, and when the machine dies.
///
/// Fault model: SimFileSystem's (unsynced writes are lost or torn, syncs fail, the
/// disk fills) and MemoryStateStore's (unsynced commits are lost); work posted to
/// the worker or the background is late, or lost with the process; commits are
/// refused for a while (`outage`). The wall clock only goes forward.
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
  ~Chain();

  /// Opens everything, or says what is wrong.
  std::optional<std::string> open();
  /// kill -9, or a power loss: everything in memory is gone.
  void die(bool power_loss);

  /// A client sends a click; it is acknowledged when the journal says so.
  void send_click(uint64_t identity, int64_t timestamp_off_ms, log::Lane lane);
  void pump() {
    while (journal_->pump()) {
    }
  }
  /// Runs up to `most` messages of the worker; false when none waited.
  bool run_worker(size_t most);
  void run_background(size_t most);
  void maintain();  ///< as the worker does between messages
  void release();   ///< as the engine does: trims, then files
  void set_outage(bool on) { outage_ = on; }
  /// Until nothing waits anywhere; false when that does not come.
  bool settle();

  /// What is wrong now: with the tallies, or at the end with every click's fate.
  std::optional<std::string> check_tallies() const;
  std::optional<std::string> check_at_the_end() const;

  const QuietLog quiet;
  SimFileSystem files;
  ManualClock clock{1'782'295'200'000};
  bool alive() const { return journal_ != nullptr; }
  bool journal_closed() const { return journal_->health() == log::Journal::Health::closed; }
  bool clicks_wait() const { return journal_->clicks_wait(); }
  uint64_t acknowledged() const { return acknowledged_.size(); }
  uint64_t refused() const { return refused_; }
  uint64_t held_clicks() const { return spool_->held_clicks(); }
  uint64_t spool_memory() const { return spool_->memory_bytes(); }
  uint64_t journal_files() const { return journal_->file_count(); }
  const cluster::Partition& partition(size_t at) const { return *partitions_[at]; }
  collector::Spool& spool() { return *spool_; }
  std::optional<std::string> failure() const;
  stream::Tally total() const;

 private:
  class Router;
  class Answer;
  struct Fates;
  std::optional<std::string> open_partition(uint32_t id);
  std::optional<std::string> walk(const cluster::Partition& partition, Fates& fates) const;

  const Options options_;
  Random random_;
  stream::MemoryStateStore state_;
  const click::ColumnCodec codec_;
  std::deque<std::function<void()>> worker_;
  std::deque<std::function<void()>> background_;
  bool outage_ = false;

  std::unique_ptr<NodeClock> node_clock_;
  std::vector<std::unique_ptr<cluster::Partition>> partitions_;
  std::unique_ptr<collector::Spool> spool_;
  std::unique_ptr<Router> router_;
  std::unique_ptr<collector::Forwarder> forwarder_;
  std::unique_ptr<log::Journal> journal_;  // its waiters point to the rest: goes first

  // The clients' side: it survives everything. Every sending has a number, so that
  // the log tells a client's copy from a resend of ours.
  std::set<uint64_t> acknowledged_;  // identities
  uint64_t sendings_ = 0;
  uint64_t refused_ = 0;
};

}  // namespace clickmill::simulation
