#include "base/time_text.h"

#include <catch2/catch.hpp>
#include <ctime>

#include "base/random.h"
#include "base/strong.h"

namespace clickmill {

TEST_CASE("time: what is written as UTC is read back", "[base]") {
  CHECK(format_time_ms(0) == "1970-01-01T00:00:00Z");
  CHECK(format_time_ms(1) == "1970-01-01T00:00:00.001Z");
  CHECK(format_time_ms(-1) == "1969-12-31T23:59:59.999Z");
  CHECK(format_time_ms(1782295200000) == "2026-06-24T10:00:00Z");
  CHECK(format_time_ms(INT64_MAX) == "9999-12-31T23:59:59.999Z");
  Random random(3);
  bool same = true;
  for (int i = 0; i < 20'000; ++i) {
    const auto ms = static_cast<int64_t>(random.below(253402300800000));
    same = same && parse_time_ms(format_time_ms(ms)) == ms;
  }
  CHECK(same);
}

TEST_CASE("time: dates agree with the C library", "[base]") {
  Random random(4);
  bool same = true;
  for (int i = 0; i < 20'000; ++i) {
    const auto seconds = static_cast<time_t>(random.below(253402300800));
    tm date{};
    gmtime_r(&seconds, &date);
    char text[32];
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &date);
    same = same && format_time_ms(int64_t{seconds} * 1000) == text;
  }
  CHECK(same);
}

TEST_CASE("time: fractions, zones, epoch milliseconds and lower case are read", "[base]") {
  using Row = std::pair<const char*, int64_t>;
  const auto [text, ms] = GENERATE(values<Row>({
      {"2026-06-24T10:00:00.5Z", 1782295200500},
      {"2026-06-24T10:00:00.123999Z", 1782295200123},
      {"2026-06-24T12:30:00+02:30", 1782295200000},
      {"2026-06-24T08:00:00-02:00", 1782295200000},
      {"2026-06-24t10:00:00z", 1782295200000},
      {"1782295200000", 1782295200000},
      {"0", 0},
      {"2024-02-29T00:00:00Z", 1709164800000},
  }));
  CAPTURE(text);
  CHECK(parse_time_ms(text) == ms);
}

TEST_CASE("time: what is no time is refused", "[base]") {
  const auto text = GENERATE(values<const char*>(
      {"", "-5", "yesterday", "2026-06-24", "2026-13-24T10:00:00Z", "2026-02-30T10:00:00Z",
       "2025-02-29T00:00:00Z", "2026-06-24T24:00:00Z", "2026-06-24T10:60:00Z",
       "2026-06-24T10:00:61Z", "2026-06-24T10:00:00", "2026-06-24T10:00:00Zx",
       "2026-06-24T10:00:00.Z", "1782295200000000000"}));
  CAPTURE(text);
  CHECK_FALSE(parse_time_ms(text));
}

TEST_CASE("time: floor_to goes down for negative times too", "[base]") {
  CHECK(floor_to(-1, kMinuteMs) == -kMinuteMs);
  CHECK(floor_to(-kMinuteMs, kMinuteMs) == -kMinuteMs);
  CHECK(floor_to(kMinuteMs - 1, kMinuteMs) == 0);
}

}  // namespace clickmill
