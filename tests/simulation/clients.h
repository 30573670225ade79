#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/random.h"
#include "click/click.h"
#include "cluster/partition.h"
#include "log/journal.h"
#include "simulation/sim_node.h"

namespace clickmill::simulation {

/// The people's side: it survives everything. Every sending has a number, so that the
/// log tells a client's copy from a resend of ours.
class Clients {
 public:
  explicit Clients(uint64_t seed) : random_(seed) {}
  /// Sends a click to a node; it is acknowledged when the journal says so.
  void send(SimNode& node, uint64_t identity, EventMs timestamp, log::Lane lane);
  /// Clicks are called safe before the sync: a break that the checks must notice.
  void answer_when_written() { answer_when_written_ = true; }
  /// Durability::replicated: a click is acknowledged when it is committed, or never, if that
  /// takes longer than people wait. `clock` is borrowed.
  void answer_when_committed(const Clock& clock) { committed_by_ = &clock; }
  /// Long for people, but a message takes up to 60 ms here, and a machine's turn 10.
  static constexpr int64_t kDeadlineMs = 400;
  /// Sendings that nobody waited for any longer.
  uint64_t unreplicated() const { return unreplicated_; }

  const std::set<uint64_t>& acknowledged() const { return acknowledged_; }
  uint64_t refused() const { return refused_; }
  static std::string ad_of(uint64_t identity) { return "ad" + std::to_string(identity % 7); }

 private:
  class Answer;
  void await(std::shared_ptr<Answer> answer);
  Random random_;
  bool answer_when_written_ = false;
  std::set<uint64_t> acknowledged_;  ///< identities
  uint64_t sendings_ = 0;
  uint64_t refused_ = 0;
  const Clock* committed_by_ = nullptr;
  std::deque<std::pair<int64_t, std::shared_ptr<Answer>>> waiting_;
  uint64_t unreplicated_ = 0;
};

/// What a reader of the logs alone, who knows nothing of batching, tables or
/// horizons, says of every click in them.
class Fates {
 public:
  /// Reads a partition's whole log; what is wrong with it.
  std::optional<std::string> read(const cluster::Partition& partition);
  /// The same of entries in order, whoever has them.
  std::optional<std::string> read(const std::map<Offset, log::Entry>& entries);
  /// What is wrong: an acknowledged click that is in no log, a resend that counts as a
  /// client's copy, or another tally than the streams'.
  std::optional<std::string> check(const Clients& clients, const stream::Tally& streams) const;

 private:
  std::optional<std::string> read(const log::Entry& entry);
  void add(const click::ClickView& click, bool again);
  void add_verdict(const click::ClickView& click);

  std::set<std::string> identities_;
  std::set<std::string> sendings_;
  stream::Tally tally_;
  uint64_t unmarked_resends_ = 0;
};

}  // namespace clickmill::simulation
