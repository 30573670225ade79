#include "collector/forwarder.h"

#include <algorithm>

namespace clickmill::collector {

Forwarder::Forwarder(Spool& spool, cluster::Router& router, const Clock& clock, Options options,
                     uint64_t jitter_seed)
    : spool_(spool), router_(router), clock_(clock), options_(std::move(options)), jitter_(jitter_seed),
      journal_(spool.reader()) {}

Forwarder::Lane& Forwarder::lane_of(PartitionId partition) {
  if (lanes_.size() <= partition.value()) lanes_.resize(partition.value() + 1);
  return lanes_[partition.value()];
}

void Forwarder::kick(PartitionId partition) {
  lane_of(partition).ours = true;
  if (lane_of(partition).holding) return;  // its answer looks for more
  auto taken = spool_.take(partition, options_.batch_clicks, options_.batch_bytes, journal_);
  while (taken && taken->records.empty()) {
    // Damage has taken all of them; the spool has said so.
    spool_.committed(partition, *taken);
    taken = spool_.take(partition, options_.batch_clicks, options_.batch_bytes, journal_);
  }
  if (!taken) return;
  Lane& lane = lane_of(partition);
  lane.taken = *std::move(taken);
  lane.holding = true;
  lane.sent_before = false;
  lane.backoff_ms = 0;
  send(partition, lane);
}

void Forwarder::send(PartitionId partition, Lane& lane) {
  cluster::Batch batch;
  batch.sender = options_.node_id;
  batch.again = lane.taken.again || lane.sent_before;
  batch.low_water = spool_.low_water(partition);
  batch.newest = lane.taken.newest;
  batch.records = lane.taken.records;
  lane.sent_before = true;
  lane.under_way = true;
  router_.send(partition, std::move(batch),
               [this, partition](Status status) { on_answer(partition, std::move(status)); });
}

void Forwarder::on_answer(PartitionId partition, Status status) {
  Lane& lane = lane_of(partition);
  lane.under_way = false;
  if (status) {
    lane.holding = false;
    spool_.committed(partition, lane.taken);
    kick(partition);
    return;
  }
  lane.backoff_ms = std::clamp(lane.backoff_ms * 2, options_.backoff_first_ms, options_.backoff_most_ms);
  // Half of it at random, so that the partitions don't come back in step.
  const auto half = static_cast<uint64_t>(lane.backoff_ms * 500'000);
  lane.retry_at_ns = clock_.monotonic_ns() + static_cast<int64_t>(half + jitter_.below(half + 1));
}

void Forwarder::retry_due() {
  const int64_t now = clock_.monotonic_ns();
  for (size_t i = 0; i < lanes_.size(); ++i) {
    Lane& lane = lanes_[i];
    const PartitionId partition(static_cast<uint32_t>(i));
    if (lane.holding && !lane.under_way && lane.retry_at_ns <= now) send(partition, lane);
    // The disk may have refused to give the backlog back.
    if (lane.ours && !lane.holding && spool_.has_backlog(partition)) kick(partition);
  }
}

}  // namespace clickmill::collector
