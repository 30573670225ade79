#include "query/buckets.h"

#include <algorithm>
#include <limits>

#include "base/strong.h"
#include "query/tzif.h"

namespace clickmill::query {
namespace {

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
constexpr int64_t kAlways = std::numeric_limits<int64_t>::min();
/// A stretch of time with one offset.
struct Span {
  int64_t begin_ms;
  int64_t end_ms;
  int64_t offset_ms;
};

class TableZone final : public TimeZone {
 public:
  TableZone(std::string name, ZoneTable table) : name_(std::move(name)), table_(std::move(table)) {}

  const std::string& name() const override { return name_; }
  bool is_utc() const override { return table_.transitions.empty() && table_.first_offset_ms == 0; }
  int64_t offset_s(int64_t utc_ms) const override { return span_at(utc_ms).offset_ms / 1000; }

  int64_t instant_of(int64_t local_ms) const override { return first_shown(local_ms); }

  int64_t bucket_start(Granularity granularity, int64_t utc_ms) const override {
    switch (granularity) {
      case Granularity::hour: return hour_at(utc_ms).begin_ms;
      case Granularity::day: return first_shown(day_of(utc_ms));
      case Granularity::minute:
      case Granularity::total: break;
    }
    return floor_to(utc_ms, kMinuteMs);
  }
  int64_t next_bucket(Granularity granularity, int64_t utc_ms) const override {
    switch (granularity) {
      case Granularity::hour: return hour_at(utc_ms).end_ms;
      case Granularity::day: return first_shown(day_of(utc_ms) + kDayMs);
      case Granularity::minute:
      case Granularity::total: break;
    }
    return floor_to(utc_ms, kMinuteMs) + kMinuteMs;
  }

 private:
  Span span_at(int64_t utc_ms) const {
    int64_t shift = 0;
    if (table_.cycle_begin_ms && utc_ms >= *table_.cycle_begin_ms + kCycleMs) {
      shift = floor_to(utc_ms - *table_.cycle_begin_ms, kCycleMs);
    }
    const auto& all = table_.transitions;
    const auto after =
        std::upper_bound(all.begin(), all.end(), utc_ms - shift,
                         [](int64_t at, const auto& transition) { return at < transition.at_ms; });
    Span span{kAlways, kNever, table_.first_offset_ms};
    if (after != all.begin()) {
      span.begin_ms = std::prev(after)->at_ms + shift;
      span.offset_ms = std::prev(after)->offset_ms;
    }
    if (after != all.end()) span.end_ms = after->at_ms + shift;
    return span;
  }
  /// An hour ends where the clock is changed: what it shows twice is two buckets, and
  /// a change by half an hour makes a short one.
  Span hour_at(int64_t utc_ms) const {
    const Span span = span_at(utc_ms);
    const int64_t begin = floor_to(utc_ms + span.offset_ms, kHourMs) - span.offset_ms;
    return {std::max(begin, span.begin_ms), std::min(begin + kHourMs, span.end_ms), span.offset_ms};
  }
  /// The first instant at which the clock shows `local_ms` or later. So a day begins
  /// when its midnight first comes, or, where midnight is skipped, with the change;
  /// what is shown again after that (clocks put back at 00:01) belongs to the new day.
  int64_t first_shown(int64_t local_ms) const {
    // Offsets are below 26 hours, so the clock shows an earlier time there.
    int64_t from = local_ms - 27 * kHourMs;
    for (;;) {
      const Span span = span_at(from);
      const int64_t begin = std::max(span.begin_ms, local_ms - span.offset_ms);
      if (begin < span.end_ms) return begin;
      from = span.end_ms;
    }
  }
  /// Local midnight of the day bucket that holds the instant.
  int64_t day_of(int64_t utc_ms) const {
    int64_t day = floor_to(utc_ms + span_at(utc_ms).offset_ms, kDayMs);
    while (first_shown(day + kDayMs) <= utc_ms) day += kDayMs;
    return day;
  }

  std::string name_;
  ZoneTable table_;
};

int64_t bucket_ms(Granularity granularity) {
  switch (granularity) {
    case Granularity::hour: return kHourMs;
    case Granularity::day: return kDayMs;
    case Granularity::minute:
    case Granularity::total: break;
  }
  return kMinuteMs;
}

/// Buckets are then all of one length.
bool is_even(const TimeZone& zone, Granularity granularity) {
  return zone.is_utc() || granularity == Granularity::minute;
}

}  // namespace

std::string_view to_string(Granularity granularity) {
  switch (granularity) {
    case Granularity::minute: return "1m";
    case Granularity::hour: return "1h";
    case Granularity::day: return "1d";
    case Granularity::total: return "total";
  }
  return "unknown";
}

std::shared_ptr<const TimeZone> TimeZone::utc() {
  static const std::shared_ptr<const TimeZone> zone =
      std::make_shared<TableZone>("UTC", ZoneTable{});
  return zone;
}

std::shared_ptr<const TimeZone> TimeZone::of(std::string name, ZoneTable table) {
  return std::make_shared<TableZone>(std::move(name), std::move(table));
}

BucketRange widened(const TimeZone& zone, Granularity granularity, int64_t from_ms, int64_t to_ms) {
  const int64_t last = zone.bucket_start(granularity, to_ms);
  return {zone.bucket_start(granularity, from_ms),
          last == to_ms ? to_ms : zone.next_bucket(granularity, to_ms)};
}

uint64_t count_buckets(const TimeZone& zone, Granularity granularity, const BucketRange& range,
                       uint64_t limit) {
  if (range.from_ms >= range.to_ms) return 0;
  if (granularity == Granularity::total) return 1;
  const auto even = static_cast<uint64_t>((range.to_ms - range.from_ms) / bucket_ms(granularity));
  if (is_even(zone, granularity)) return even;
  // No hour is longer than one, so there are no fewer than that.
  if (granularity == Granularity::hour && even > limit) return even;
  uint64_t count = 0;
  for (int64_t at = range.from_ms; at < range.to_ms && count <= limit; ++count) {
    at = zone.next_bucket(granularity, at);
  }
  return count;
}

std::vector<int64_t> bucket_starts(const TimeZone& zone, Granularity granularity, int64_t from_ms,
                                   int64_t to_ms) {
  std::vector<int64_t> starts;
  if (from_ms >= to_ms) return starts;
  int64_t at = zone.bucket_start(granularity, from_ms);
  if (granularity == Granularity::total) return {at};
  if (is_even(zone, granularity)) {
    const int64_t step = bucket_ms(granularity);
    starts.reserve(static_cast<size_t>((to_ms - at + step - 1) / step));
    for (; at < to_ms; at += step) starts.push_back(at);
    return starts;
  }
  for (; at < to_ms; at = zone.next_bucket(granularity, at)) starts.push_back(at);
  return starts;
}

size_t BucketIndex::of(int64_t at_ms) {
  // Rows of an ad come in the order of time.
  for (size_t step = 0; step < 2; ++step) {
    const size_t next = last_ + step;
    if (next < size() && begin_ms(next) <= at_ms && at_ms < end_ms(next)) return last_ = next;
  }
  const auto after = std::upper_bound(starts_.begin(), starts_.end(), at_ms);
  return last_ = static_cast<size_t>(after - starts_.begin()) - 1;
}

}  // namespace clickmill::query
