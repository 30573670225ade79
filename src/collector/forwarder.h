#pragma once

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
/// One per worker, for its partitions. Thread: worker.
class Forwarder {
 public:
  struct Options {
    std::string node_id;
    size_t batch_clicks = 1024;
    size_t batch_bytes = 192 << 10;
    int64_t backoff_first_ms = 10;
    int64_t backoff_most_ms = 2'000;
  };
  Forwarder(Spool& spool, cluster::Router& router, const Clock& clock, Options options,
            uint64_t jitter_seed);

  /// Clicks of the partition may be ready.
  void kick(PartitionId partition);
  /// Sends what a backoff held back. Call a few times a second or more.
  void retry_due();

 private:
  struct Lane {
    Spool::Taken taken;
    bool sent_before = false;
    bool under_way = false;
    bool holding = false;
    bool ours = false;  ///< lanes_ has gaps: other workers' partitions
    int64_t retry_at_ns = 0;
    int64_t backoff_ms = 0;
  };
  Lane& lane_of(PartitionId partition);
  void send(PartitionId partition, Lane& lane);
  void on_answer(PartitionId partition, Status status);

  Spool& spool_;
  cluster::Router& router_;
  const Clock& clock_;
  const Options options_;
  Random jitter_;
  log::GroupReader journal_;
  std::vector<Lane> lanes_;  // by partition
};

}  // namespace clickmill::collector
