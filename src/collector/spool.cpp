// Journal records of the spool:
//   click: the click record (click/record.cpp), with received_ms stamped
//   trim:  varint partitions | { varint position below which all is committed }
// A group's clicks share its position, so after a crash a few committed ones may
// be sent again with an uncommitted neighbour; as `again`, and dedup drops them.
#include "collector/spool.h"

#include <algorithm>

#include "base/assert.h"
#include "base/bytes.h"
#include "click/click.h"

namespace clickmill::collector {

Status RecoveredSpool::replay(JournalPos position, const log::RecordView& record) {
  if (record.kind == log::RecordKind::click) {
    clicks_.push_back({record.partition, position, std::string(record.payload)});
    return {};
  }
  ByteCursor cursor(record.payload);
  const uint64_t count = cursor.varint();
  std::vector<JournalPos> trims;
  for (uint64_t i = 0; i < count && cursor.ok(); ++i) trims.push_back(JournalPos(cursor.varint()));
  if (!cursor.done()) return Error(Errc::corrupt, "trim record is malformed");
  trims_ = std::move(trims);
  return {};
}

/// Rides with a click through the journal.
class Spool::Waiter final : public log::JournalWaiter {
 public:
  Waiter(Spool& spool, PartitionId partition, Queue queue, std::shared_ptr<ClickAnswer> answer)
      : spool_(spool), partition_(partition), queue_(queue), answer_(std::move(answer)) {}
  void written() override {
    if (answer_) answer_->written();
  }
  void durable(JournalPos position, std::string&& payload) override {
    if (answer_) answer_->durable();
    spool_.mark_durable(partition_, queue_, position, std::move(payload));
  }
  void failed(const Error&, std::string&&) override {
    if (answer_) answer_->failed();
    spool_.mark_failed(partition_, queue_);
  }

 private:
  Spool& spool_;
  PartitionId partition_;
  Queue queue_;
  std::shared_ptr<ClickAnswer> answer_;
};

Spool::Spool(log::Journal& journal, NodeClock& clock, Options options,
             std::function<void(PartitionId)> ready)
    : journal_(journal), clock_(clock), options_(options), ready_(std::move(ready)) {
  for (uint32_t i = 0; i < options_.partitions; ++i) shares_.push_back(std::make_unique<Share>());
}

void Spool::recover(RecoveredSpool&& recovered) {
  for (auto& click : recovered.clicks_) {
    const size_t index = click.partition.value();
    if (index >= shares_.size()) continue;
    if (index < recovered.trims_.size() && click.position < recovered.trims_[index]) continue;
    ByteCursor cursor(std::string_view(click.record).substr(std::min(click::kReceivedMsAt, click.record.size())));
    const ArrivalMs received(cursor.i64());
    Share& share = *shares_[index];
    Lane& lane = share.lanes[static_cast<size_t>(Queue::recovered)];
    lane.held.push_back({received, click.position});
    ++lane.durable;
    lane.ready.push_back(std::move(click.record));
    share.newest_durable = std::max(share.newest_durable, click.position);
    clock_.raise(received);
    held_.add(1);
  }
}

Status Spool::append(PartitionId partition, std::string&& record, bool timestamp_too, log::Lane lane,
                     std::shared_ptr<ClickAnswer> answer) {
  CM_ASSERT(partition.value() < shares_.size());
  const Queue queue = lane == log::Lane::redirects ? Queue::redirects : Queue::bulk;
  log::Append append;
  append.lane = lane;
  append.kind = log::RecordKind::click;
  append.partition = partition;
  append.payload = std::move(record);
  append.waiter = std::make_shared<Waiter>(*this, partition, queue, std::move(answer));
  Share& share = *shares_[partition.value()];
  std::lock_guard lock(share.mutex);
  const ArrivalMs received = clock_.now();
  click::stamp_received(append.payload, 0, received, timestamp_too);
  TRY(journal_.append(std::move(append)));
  share.lanes[static_cast<size_t>(queue)].held.push_back({received, JournalPos(0)});
  held_.add(1);
  return {};
}

void Spool::mark_durable(PartitionId partition, Queue queue, JournalPos position, std::string&& record) {
  Share& share = *shares_[partition.value()];
  {
    std::lock_guard lock(share.mutex);
    Lane& lane = share.lanes[static_cast<size_t>(queue)];
    // The journal keeps the order within a lane, so this is the oldest one on its way.
    CM_ASSERT(lane.durable < lane.held.size());
    lane.held[lane.durable++].position = position;
    lane.ready.push_back(std::move(record));
    share.newest_durable = std::max(share.newest_durable, position);
    if (std::exchange(share.notified, true)) return;
  }
  ready_(partition);
}

void Spool::mark_failed(PartitionId partition, Queue queue) {
  Share& share = *shares_[partition.value()];
  std::lock_guard lock(share.mutex);
  Lane& lane = share.lanes[static_cast<size_t>(queue)];
  // It stays in `held`: it may be on disk and come back after a restart, so the
  // low-water must not pass it.
  CM_ASSERT(lane.durable < lane.held.size());
}

std::optional<Spool::Taken> Spool::take(PartitionId partition, size_t count_most, size_t bytes_most) {
  Share& share = *shares_[partition.value()];
  std::lock_guard lock(share.mutex);
  share.notified = false;
  for (size_t i = 0; i < kQueues; ++i) {
    Lane& lane = share.lanes[i];
    if (lane.ready.empty()) continue;
    Taken taken;
    taken.queue = static_cast<Queue>(i);
    taken.again = taken.queue == Queue::recovered;
    // Ready ones are the last of the durable ones; what was taken stands before them.
    size_t at = lane.durable - lane.ready.size();
    size_t bytes = 0;
    while (!lane.ready.empty() && taken.records.size() < count_most && bytes < bytes_most) {
      taken.newest = std::max(taken.newest, lane.held[at++].received);
      bytes += lane.ready.front().size();
      taken.records.push_back(std::move(lane.ready.front()));
      lane.ready.pop_front();
    }
    return taken;
  }
  return std::nullopt;
}

void Spool::committed(PartitionId partition, Queue queue, size_t count) {
  Share& share = *shares_[partition.value()];
  std::lock_guard lock(share.mutex);
  Lane& lane = share.lanes[static_cast<size_t>(queue)];
  CM_ASSERT(count <= lane.durable - lane.ready.size());
  lane.held.erase(lane.held.begin(), lane.held.begin() + static_cast<std::ptrdiff_t>(count));
  lane.durable -= count;
  held_.add(-static_cast<int64_t>(count));
  trims_changed_ = true;
}

ArrivalMs Spool::low_water(PartitionId partition) {
  Share& share = *shares_[partition.value()];
  std::lock_guard lock(share.mutex);
  // Taken under the lock: a click stamped later is not below it.
  ArrivalMs lowest = clock_.now();
  for (const Lane& lane : share.lanes) {
    if (!lane.held.empty()) lowest = std::min(lowest, lane.held.front().received);
  }
  return lowest;
}

JournalPos Spool::oldest_position(const Share& share) const {
  JournalPos oldest(UINT64_MAX);
  for (const Lane& lane : share.lanes) {
    if (lane.durable > 0) oldest = std::min(oldest, lane.held.front().position);
  }
  return oldest;
}

void Spool::write_trims() {
  if (!trims_changed_.exchange(false)) return;
  log::Append append;
  append.kind = log::RecordKind::trim;
  ByteWriter writer(append.payload);
  writer.varint(shares_.size());
  for (const auto& share : shares_) {
    std::lock_guard lock(share->mutex);
    const JournalPos oldest = oldest_position(*share);
    // What is not durable yet will stand behind everything that is.
    writer.varint(oldest.value() != UINT64_MAX ? oldest.value() : share->newest_durable.value() + 1);
  }
  if (!journal_.append(std::move(append))) trims_changed_ = true;
}

JournalPos Spool::oldest_needed() {
  JournalPos oldest(UINT64_MAX);
  for (const auto& share : shares_) {
    std::lock_guard lock(share->mutex);
    oldest = std::min(oldest, oldest_position(*share));
  }
  return oldest;
}

}  // namespace clickmill::collector
