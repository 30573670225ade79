#include "query/buckets.h"

#include <catch2/catch.hpp>

#include "base/random.h"
#include "base/strong.h"
#include "base/time_text.h"
#include "query/zone_files.h"

namespace clickmill::query {
namespace {

using Texts = std::vector<std::string>;

int64_t ms(std::string_view text) { return *parse_time_ms(text); }

/// Null, with a warning, on a machine without the zone database.
std::shared_ptr<const TimeZone> zone_or_skip(const std::string& name) {
  auto zone = ZoneFiles::system().load(name);
  if (zone) return *std::move(zone);
  WARN("SKIPPED: there is no " << name << " in /usr/share/zoneinfo");
  return nullptr;
}

Texts texts(const std::vector<int64_t>& starts) {
  Texts out;
  for (const int64_t start : starts) out.push_back(format_time_ms(start));
  return out;
}

Texts buckets(const TimeZone& zone, Granularity granularity, std::string_view from,
              std::string_view to) {
  const auto range = widened(zone, granularity, ms(from), ms(to));
  const auto starts = bucket_starts(zone, granularity, range.from_ms, range.to_ms);
  REQUIRE(count_buckets(zone, granularity, range, 1'000'000) == starts.size());
  Texts out = texts(starts);
  out.push_back(format_time_ms(range.to_ms));
  return out;
}

TEST_CASE("buckets: UTC minutes, hours, days and the total", "[query]") {
  const auto utc = TimeZone::utc();
  REQUIRE(utc->is_utc());
  REQUIRE(utc->name() == "UTC");
  REQUIRE(buckets(*utc, Granularity::minute, "2026-06-24T10:00:01Z", "2026-06-24T10:01:01Z") ==
          Texts{"2026-06-24T10:00:00Z", "2026-06-24T10:01:00Z", "2026-06-24T10:02:00Z"});
  REQUIRE(buckets(*utc, Granularity::hour, "2026-06-24T23:00:00Z", "2026-06-25T00:00:01Z") ==
          Texts{"2026-06-24T23:00:00Z", "2026-06-25T00:00:00Z", "2026-06-25T01:00:00Z"});
  REQUIRE(buckets(*utc, Granularity::day, "2024-02-28T12:00:00Z", "2024-03-01T00:00:00Z") ==
          Texts{"2024-02-28T00:00:00Z", "2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z"});
  REQUIRE(buckets(*utc, Granularity::total, "2026-06-24T10:00:01Z", "2026-06-26T10:01:01Z") ==
          Texts{"2026-06-24T10:00:00Z", "2026-06-26T10:02:00Z"});
}

TEST_CASE("buckets: Berlin's days have 23 and 25 hours when the clock changes", "[query]") {
  const auto zone = zone_or_skip("Europe/Berlin");
  if (!zone) return;
  REQUIRE_FALSE(zone->is_utc());
  REQUIRE(zone->offset_s(ms("2026-03-29T00:59:59.999Z")) == 3600);
  REQUIRE(zone->offset_s(ms("2026-03-29T01:00:00Z")) == 7200);
  REQUIRE(buckets(*zone, Granularity::day, "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z") ==
          Texts{"2026-03-27T23:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z",
                "2026-03-30T22:00:00Z"});
  REQUIRE(buckets(*zone, Granularity::day, "2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z") ==
          Texts{"2026-10-23T22:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z",
                "2026-10-26T23:00:00Z"});
  // Local 02:00 comes twice in autumn and never in spring; either way hours follow on.
  REQUIRE(buckets(*zone, Granularity::hour, "2026-10-24T23:00:00Z", "2026-10-25T02:30:00Z") ==
          Texts{"2026-10-24T23:00:00Z", "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z",
                "2026-10-25T02:00:00Z", "2026-10-25T03:00:00Z"});
  REQUIRE(
      buckets(*zone, Granularity::hour, "2026-03-28T22:00:00Z", "2026-03-29T22:00:00Z").size() ==
      24 + 1);
}

TEST_CASE("buckets: Kolkata's hours begin at half past", "[query]") {
  const auto zone = zone_or_skip("Asia/Kolkata");
  if (!zone) return;
  REQUIRE(buckets(*zone, Granularity::hour, "2026-06-24T10:00:00Z", "2026-06-24T11:00:00Z") ==
          Texts{"2026-06-24T09:30:00Z", "2026-06-24T10:30:00Z", "2026-06-24T11:30:00Z"});
  REQUIRE(buckets(*zone, Granularity::day, "2026-06-24T10:00:00Z", "2026-06-24T11:00:00Z") ==
          Texts{"2026-06-23T18:30:00Z", "2026-06-24T18:30:00Z"});
}

TEST_CASE("buckets: Lord Howe's clock moves by half an hour", "[query]") {
  const auto zone = zone_or_skip("Australia/Lord_Howe");
  if (!zone) return;
  // 2026-04-05 02:00 (+11) becomes 01:30 (+10:30): half of the hour 01 comes again.
  REQUIRE(buckets(*zone, Granularity::hour, "2026-04-04T14:00:00Z", "2026-04-04T15:50:00Z") ==
          Texts{"2026-04-04T14:00:00Z", "2026-04-04T15:00:00Z", "2026-04-04T15:30:00Z",
                "2026-04-04T16:30:00Z"});
  // 2026-10-04 02:00 (+10:30) becomes 02:30 (+11): the hour 02 has half an hour.
  REQUIRE(buckets(*zone, Granularity::hour, "2026-10-03T14:30:00Z", "2026-10-03T16:30:00Z") ==
          Texts{"2026-10-03T14:30:00Z", "2026-10-03T15:30:00Z", "2026-10-03T16:00:00Z",
                "2026-10-03T17:00:00Z"});
  REQUIRE(buckets(*zone, Granularity::day, "2026-04-04T14:00:00Z", "2026-04-04T15:00:00Z") ==
          Texts{"2026-04-04T13:00:00Z", "2026-04-05T13:30:00Z"});
}

TEST_CASE("buckets: after the last transition the rule goes on", "[query]") {
  const auto zone = zone_or_skip("America/New_York");
  if (!zone) return;
  // 2090: the second Sunday of March is the 12th, the first of November the 5th.
  REQUIRE(zone->offset_s(ms("2090-03-12T06:59:59Z")) == -5 * 3600);
  REQUIRE(zone->offset_s(ms("2090-03-12T07:00:00Z")) == -4 * 3600);
  REQUIRE(zone->offset_s(ms("2090-11-05T05:59:59Z")) == -4 * 3600);
  REQUIRE(zone->offset_s(ms("2090-11-05T06:00:00Z")) == -5 * 3600);
  REQUIRE(buckets(*zone, Granularity::day, "2090-11-05T12:00:00Z", "2090-11-05T13:00:00Z") ==
          Texts{"2090-11-05T04:00:00Z", "2090-11-06T05:00:00Z"});
  // The calendar repeats after 400 years, and so does the rule.
  for (int64_t at = ms("2090-01-01T00:00:00Z"); at < ms("2092-01-01T00:00:00Z"); at += kHourMs) {
    const int64_t later = at + 19 * int64_t{146'097} * kDayMs;
    if (zone->offset_s(at) != zone->offset_s(later)) FAIL(format_time_ms(at));
  }
  REQUIRE(zone->offset_s(ms("9999-07-01T00:00:00Z")) == -4 * 3600);
  REQUIRE(zone->offset_s(ms("9999-12-31T00:00:00Z")) == -5 * 3600);
}

TEST_CASE("buckets: a skipped day has none, a midnight put back is one", "[query]") {
  if (const auto zone = zone_or_skip("Pacific/Apia")) {
    // 2011-12-30 did not happen in Samoa.
    REQUIRE(buckets(*zone, Granularity::day, "2011-12-29T12:00:00Z", "2011-12-30T12:00:00Z") ==
            Texts{"2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z"});
  }
  if (const auto zone = zone_or_skip("America/Sao_Paulo")) {
    // 2018-11-04 began at 01:00: midnight was skipped.
    REQUIRE(buckets(*zone, Granularity::day, "2018-11-03T12:00:00Z", "2018-11-04T12:00:00Z") ==
            Texts{"2018-11-03T03:00:00Z", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"});
    // On 2018-02-18 at 00:00 the clock went back to 23:00, before midnight was ever shown.
    REQUIRE(buckets(*zone, Granularity::day, "2018-02-17T12:00:00Z", "2018-02-18T12:00:00Z") ==
            Texts{"2018-02-17T02:00:00Z", "2018-02-18T03:00:00Z", "2018-02-19T03:00:00Z"});
  }
  if (const auto zone = zone_or_skip("America/St_Johns")) {
    // On 2010-11-07 at 00:01 the clock went back to 23:01: the day had begun.
    REQUIRE(buckets(*zone, Granularity::day, "2010-11-06T12:00:00Z", "2010-11-07T12:00:00Z") ==
            Texts{"2010-11-06T02:30:00Z", "2010-11-07T02:30:00Z", "2010-11-08T03:30:00Z"});
    REQUIRE(format_time_ms(zone->bucket_start(Granularity::day, ms("2010-11-07T03:00:00Z"))) ==
            "2010-11-07T02:30:00Z");
  }
}

TEST_CASE("buckets: random instants lie in their bucket, and buckets follow on", "[query]") {
  const uint64_t seed = 7;
  CAPTURE(seed);
  Random random(seed);
  for (const std::string name :
       {"UTC", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "America/St_Johns",
        "Pacific/Apia", "Africa/Monrovia", "Africa/Casablanca", "America/Nuuk", "Asia/Gaza"}) {
    const auto zone = zone_or_skip(name);
    if (!zone) continue;
    CAPTURE(name);
    size_t wrong = 0;
    for (int i = 0; i < 4000; ++i) {
      const int64_t bound =
          random.one_in(4) ? ms("9999-12-01T00:00:00Z") : ms("2040-01-01T00:00:00Z");
      const auto at = static_cast<int64_t>(random.below(static_cast<uint64_t>(bound)));
      for (const auto granularity : {Granularity::minute, Granularity::hour, Granularity::day}) {
        const int64_t begin = zone->bucket_start(granularity, at);
        const int64_t end = zone->next_bucket(granularity, at);
        const bool right = begin <= at && at < end && begin % kMinuteMs == 0 &&
                           zone->bucket_start(granularity, begin) == begin &&
                           zone->bucket_start(granularity, end - 1) == begin &&
                           zone->bucket_start(granularity, end) == end &&
                           zone->next_bucket(granularity, begin) == end;
        if (!right) ++wrong;
      }
    }
    REQUIRE(wrong == 0);
  }
}

TEST_CASE("buckets: zone names are checked before a file is opened", "[query]") {
  for (const std::string name : {"", "/etc/localtime", "../zoneinfo/UTC", "Europe/../UTC", "a b",
                                 "zone.tab", "Europe", "Europe/", "Nowhere/Land"}) {
    CAPTURE(name);
    const auto zone = ZoneFiles::system().load(name);
    REQUIRE_FALSE(zone);
    REQUIRE(zone.error().code() == Errc::invalid);
  }
  REQUIRE_FALSE(ZoneFiles::system().load(std::string(100'000, 'x')));
  REQUIRE_FALSE(ZoneFiles::system().load(std::string_view("UTC\0x", 5)));
  REQUIRE(*ZoneFiles::system().load("UTC") == TimeZone::utc());
  if (zone_or_skip("Europe/Berlin")) {
    REQUIRE(*ZoneFiles::system().load("Europe/Berlin") ==
            *ZoneFiles::system().load("Europe/Berlin"));
  }
}

}  // namespace
}  // namespace clickmill::query
