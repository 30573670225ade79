#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "cluster/batch.h"
#include "collector/spool.h"

namespace clickmill::collector {

/// Takes durable clicks from the spool, one batch per partition at a time, and
/// sends them to the partition's leader until they are committed: at least once,
/// with jittered exponential backoff. A batch sent a second time says `again`.
///
/// What is ready is gathered until the next forward(): at 10,000 clicks/s a group
/// of the journal holds no two clicks of one partition, and a batch of one click
/// costs the log, the stream and the worker as much as a batch of fifty.
/// One per worker, for its partitions. Thread: worker, except as noted.
class Forwarder {
 public:
  struct Options {
    std::string node_id;
    size_t batch_clicks = 1024;
    size_t batch_bytes = 192 << 10;
    int64_t backoff_first_ms = 10;
    int64_t backoff_most_ms = 2'000;
    /// While nobody leads the partition: an election is a matter of moments, and asking
    /// costs little.
    int64_t leaderless_most_ms = 50;
    /// Somebody waits for the commit: asks for a forward() at once. Empty: the owner's
    /// period will do. Called from any thread.
    std::function<void()> soon = nullptr;
    /// The same after a refusal, a little later. Called by the worker.
    std::function<void()> soon_again = nullptr;
  };
  Forwarder(Spool& spool, cluster::ClickRouter& router, const Clock& clock, Options options,
            uint64_t jitter_seed);

  /// Clicks of the partition may be ready: the next forward() looks. Thread: any.
  void ready(PartitionId partition);
  /// Sends what is ready and what a backoff held back. Its period is what a click
  /// waits at most for its neighbours.
  void forward();

 private:
  struct Lane {
    Spool::Taken taken;  ///< without its records
    cluster::SharedRecords records;
    bool sent_before = false;
    bool under_way = false;
    bool holding = false;
    bool ours = false;    ///< lanes_ has gaps: other workers' partitions
    bool wanted = false;  ///< more became ready while a batch was out
    int64_t retry_at_ns = 0;
    int64_t backoff_ms = 0;
  };
  Lane& lane_of(PartitionId partition);
  void take_next(PartitionId partition);
  void retry_soon(const Lane& lane) const;
  void send(PartitionId partition, Lane& lane);
  void on_answer(PartitionId partition, Status status);

  Spool& spool_;
  cluster::ClickRouter& router_;
  const Clock& clock_;
  const Options options_;
  Random jitter_;
  log::GroupReader journal_;
  std::vector<Lane> lanes_;  // by partition

  // Guards what any thread tells the worker.
  std::mutex ready_mutex_;
  std::vector<PartitionId> ready_;
};

}  // namespace clickmill::collector
