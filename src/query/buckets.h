#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace clickmill::query {

struct ZoneTable;

enum class Granularity : uint8_t { minute, hour, day, total };
std::string_view to_string(Granularity granularity);  ///< "1m", "1h", "1d", "total"

/// An IANA time zone as its TZif file tells it (RFC 8536; ZoneFiles reads those), the
/// POSIX footer rule used after the last transition. Thread: any (immutable).
class TimeZone {
 public:
  virtual ~TimeZone() = default;
  static std::shared_ptr<const TimeZone> utc();
  static std::shared_ptr<const TimeZone> of(std::string name, ZoneTable table);
  virtual const std::string& name() const = 0;
  virtual bool is_utc() const = 0;
  /// Seconds east of UTC at that instant.
  virtual int64_t offset_s(int64_t utc_ms) const = 0;
  /// The instant at which the zone's clock first shows that time (as if it were UTC, in ms) or
  /// a later one: of a time that comes twice the first, for one that is skipped the change.
  virtual int64_t instant_of(int64_t local_ms) const = 0;
  /// Start (UTC ms) of the local hour or day bucket that holds the instant. A repeated
  /// local hour is two buckets; a skipped one none; a day may have 23 or 25 hours.
  virtual int64_t bucket_start(Granularity granularity, int64_t utc_ms) const = 0;
  /// Start of the bucket after the one that holds the instant.
  virtual int64_t next_bucket(Granularity granularity, int64_t utc_ms) const = 0;
};

struct BucketRange {
  int64_t from_ms;
  int64_t to_ms;
};
/// [from, to) widened outward to whole buckets; for total, to whole minutes.
BucketRange widened(const TimeZone& zone, Granularity granularity, int64_t from_ms, int64_t to_ms);
/// Number of buckets of a widened range, or something above `limit` where there are
/// more. Cost: at most `limit` steps, however long the range.
uint64_t count_buckets(const TimeZone& zone, Granularity granularity, const BucketRange& range,
                       uint64_t limit);
/// Bucket starts that cover [from, to), in order (total: one).
std::vector<int64_t> bucket_starts(const TimeZone& zone, Granularity granularity, int64_t from_ms,
                                   int64_t to_ms);

/// Finds the bucket of an instant among rising starts. Quick for neighbours in time.
class BucketIndex {
 public:
  /// `starts` is not empty and outlives this; `end_ms` ends the last bucket.
  BucketIndex(const std::vector<int64_t>& starts, int64_t end_ms)
      : starts_(starts), end_ms_(end_ms) {}
  /// `at_ms` lies in one of the buckets.
  size_t of(int64_t at_ms);
  int64_t begin_ms(size_t index) const { return starts_[index]; }
  int64_t end_ms(size_t index) const {
    return index + 1 < starts_.size() ? starts_[index + 1] : end_ms_;
  }
  size_t size() const { return starts_.size(); }

 private:
  const std::vector<int64_t>& starts_;
  int64_t end_ms_;
  size_t last_ = 0;
};

}  // namespace clickmill::query
