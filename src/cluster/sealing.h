#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/backoff.h"
#include "base/clock.h"
#include "log/partition_log.h"
#include "raft/replica.h"

namespace clickmill::cluster {

/// How a group's log gets into its segments: the own entries, block by block, once they are
/// committed and applied; or, where the log is behind what its leader has in memory, blocks that
/// a peer has sealed. One of either is written at a time, in the background.
/// Thread: worker.
class Sealing {
 public:
  struct Options {
    PartitionId id;
    /// Gets sealed blocks from the leader, and comes back with take_blocks() once. Null: there
    /// is none.
    std::function<void(Offset from)> fetch;
    /// Runs a task on the background thread; false when it can't now.
    std::function<bool(std::function<void()>)> in_background;
    /// Runs a task on the worker. Thread: any.
    std::function<void(std::function<void()>)> on_worker;
    /// Blocks of a peer have come into the log, or won't.
    std::function<void()> moved;
    /// The leader's log no longer reaches back to where this one ends.
    std::function<void()> too_far = nullptr;
  };
  /// `segments` and `clock` are borrowed.
  Sealing(log::Segments& segments, const Clock& clock, Options options)
      : segments_(segments), clock_(clock), options_(std::move(options)) {}
  /// Borrowed; before the rest.
  void attach(log::PartitionLog& log, raft::Replica& replica) {
    log_ = &log;
    replica_ = &replica;
  }

  void seal_if_due(Offset upto);
  /// Asks for blocks, if they are not on their way.
  void fetch(raft::Behind behind);
  void take_blocks(Result<std::vector<log::Entry>> blocks);
  /// Whether blocks of a peer are on their way.
  bool fetching() const { return fetching_; }
  /// Nothing is sealed until release(); false: something is just now.
  bool hold();
  void release() { sealing_ = false; }
  /// Goes on with blocks that have come, once what differs from them is gone from the disk.
  void adopt_if_ready();
  /// Why the last seal failed; empty: it didn't.
  const std::string& trouble() const { return trouble_; }
  /// How often the own entries could not be sealed, since the start.
  uint64_t failed() const { return failed_; }

 private:
  static constexpr int64_t kRetryFirstMs = 1'000;
  static constexpr int64_t kRetryMostMs = 60'000;
  void sealed(Offset last, const Status& done);
  void end_fetch(const char* why);

  log::Segments& segments_;
  const Clock& clock_;
  const Options options_;
  log::PartitionLog* log_ = nullptr;
  raft::Replica* replica_ = nullptr;
  bool sealing_ = false;  ///< under way in the background
  Backoff again_{kRetryFirstMs, kRetryMostMs};
  uint64_t failed_ = 0;
  std::string trouble_;
  bool fetching_ = false;
  std::vector<log::Entry> arriving_;
  std::string fetch_trouble_;
};

}  // namespace clickmill::cluster
