#include "collector/forwarder.h"

#include <algorithm>
#include <utility>

namespace clickmill::collector {
namespace {

/// A longer backoff ends with the owner's period.
constexpr int64_t kSoonMs = 50;

}  // namespace

Forwarder::Forwarder(Spool& spool, cluster::ClickRouter& router, const Clock& clock,
                     Options options, uint64_t jitter_seed)
    : spool_(spool),
      router_(router),
      clock_(clock),
      options_(std::move(options)),
      jitter_(jitter_seed),
      journal_(spool.reader()) {}

Forwarder::Lane& Forwarder::lane_of(PartitionId partition) {
  if (lanes_.size() <= partition.value()) lanes_.resize(partition.value() + 1);
  return lanes_[partition.value()];
}

void Forwarder::ready(PartitionId partition) {
  {
    std::lock_guard lock(ready_mutex_);
    ready_.push_back(partition);
  }
  if (options_.soon) options_.soon();
}

void Forwarder::forward() {
  std::vector<PartitionId> ready;
  {
    std::lock_guard lock(ready_mutex_);
    ready.swap(ready_);
  }
  for (const PartitionId partition : ready) {
    lane_of(partition).ours = true;
    lane_of(partition).wanted = true;
  }
  const int64_t now = clock_.monotonic_ns();
  for (size_t i = 0; i < lanes_.size(); ++i) {
    const PartitionId partition(static_cast<uint32_t>(i));
    if (lanes_[i].holding && !lanes_[i].under_way && lanes_[i].retry_at_ns <= now)
      send(partition, lanes_[i]);
    if (lanes_[i].holding && !lanes_[i].under_way) retry_soon(lanes_[i]);
    if (!lanes_[i].ours || lanes_[i].holding) continue;
    // The disk may have refused to give the backlog back.
    if (lanes_[i].wanted || spool_.has_backlog(partition)) take_next(partition);
  }
}

void Forwarder::take_next(PartitionId partition) {
  lane_of(partition).wanted = false;
  auto taken = spool_.take(partition, options_.batch_clicks, options_.batch_bytes, journal_);
  while (taken && taken->records.empty()) {
    // Damage has taken all of them; the spool has said so.
    spool_.committed(partition, *taken);
    taken = spool_.take(partition, options_.batch_clicks, options_.batch_bytes, journal_);
  }
  if (!taken) return;
  Lane& lane = lane_of(partition);
  lane.records = std::exchange(taken->records, {});
  lane.taken = *std::move(taken);
  lane.holding = true;
  lane.sent_before = false;
  lane.backoff_ms = 0;
  send(partition, lane);
}

void Forwarder::send(PartitionId partition, Lane& lane) {
  cluster::Batch batch;
  batch.sender = options_.node_id;
  // The first try may have been committed though its answer was an error.
  batch.again = lane.taken.again || lane.sent_before;
  // Below these clicks: they are held by the spool until they are committed.
  batch.low_water = spool_.low_water(partition);
  batch.newest = lane.taken.newest;
  batch.records = lane.records;
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
    lane.records = {};
    spool_.committed(partition, lane.taken);
    // A full batch, or people who wait: what is behind it has gathered already.
    if (lane.taken.more || (options_.soon && lane.wanted)) take_next(partition);
    return;
  }
  const int64_t most = status.error().code() == Errc::not_leader
                           ? std::min(options_.leaderless_most_ms, options_.backoff_most_ms)
                           : options_.backoff_most_ms;
  lane.backoff_ms = std::min(std::max(lane.backoff_ms * 2, options_.backoff_first_ms), most);
  // Half of it at random, so that the partitions don't come back in step.
  const auto half = static_cast<uint64_t>(lane.backoff_ms * 500'000);
  lane.retry_at_ns = clock_.monotonic_ns() + static_cast<int64_t>(half + jitter_.below(half + 1));
  retry_soon(lane);
}

void Forwarder::retry_soon(const Lane& lane) const {
  if (options_.soon_again && lane.backoff_ms < kSoonMs) options_.soon_again();
}

}  // namespace clickmill::collector
