// What moves a partition's log time on while no clicks come, and begins its log hours.
#include "cluster/partition.h"

namespace clickmill::cluster {

/// Whether an entry of this time is the first of its log hour, of a log that has others.
bool Partition::begins_hour(LogMs append_ms) const {
  return log_->last() > Offset(0) &&
         floor_to(append_ms.value(), kHourMs) > floor_to(log_->last_append_ms().value(), kHourMs);
}

/// The first of a log hour is full. Where the stream has not yet been where the log ends, since
/// the start, nobody knows what holds there: then it is the next one.
Status Partition::append_tick(LogMs append_ms) {
  const bool at_end = !failure_ && pipeline_->applied() == log_->last();
  if (!end_ && at_end) end_ = stream::Footing{pipeline_->settings(), pipeline_->horizon()};
  // Of others only what was heard since the last tick: what was told long ago would make a node
  // that is gone look heard.
  const int64_t now = clock_.system().monotonic_ns();
  std::vector<stream::LowWater> low_waters{{options_.node_id, options_.low_water(id_)}};
  if (options_.group) {
    for (auto& other : options_.group->low_waters(id_, heard_upto_ns_))
      low_waters.push_back(std::move(other));
  }
  const int64_t hour_ms = floor_to(append_ms.value(), kHourMs);
  std::optional<stream::Footing> behind;
  if (end_ && hour_ms != full_tick_hour_ms_) {
    behind = end_;
    behind->tick(append_ms, low_waters);
  }
  std::string payload;
  stream::encode_tick(low_waters, behind ? &*behind : nullptr, payload);
  TRY(append_entry(click::EntryKind::tick, 1, std::move(payload), append_ms));
  heard_upto_ns_ = now;
  if (behind) full_tick_hour_ms_ = hour_ms;
  return {};
}

void Partition::tick_if_due() {
  const int64_t grace = pipeline_->settings().window_grace_ms;
  const int64_t minute = floor_to(clock_.now().value() - grace, kMinuteMs);
  if (ticked_minute_ == 0)
    ticked_minute_ = floor_to(pipeline_->horizon().log_time().value() - grace, kMinuteMs);
  if (minute <= ticked_minute_) return;
  auto done = append_tick(next_append_ms(ArrivalMs(0)));
  if (done) {
    ticked_minute_ = minute;
  } else if (done.error().code() == Errc::corrupt) {
    fail(std::move(done).error());
  }
}

}  // namespace clickmill::cluster
