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

TEST_CASE("time: a person may write a date, a local time or an instant", "[base]") {
  const auto [text, ms, local] = GENERATE(table<std::string, int64_t, bool>({
      {"2026-06-24", 1782259200000, true},
      {"2026-06-24T10:00", 1782295200000, true},
      {"2026-06-24t10:00:00.25", 1782295200250, true},
      {"2026-06-24T10:00:00Z", 1782295200000, false},
      {"2026-06-24T12:00:00+02:00", 1782295200000, false},
      {"1969-12-31T15:00:00Z", -32400000, false},
      {"0000-01-01", -62167219200000, true},
      {"9999-12-31T23:59:59.999Z", 253402300799999, false},
      {"0", 0, false},
      {"100000000000", 100000000000, false},
      {"253402300799999", 253402300799999, false},
  }));
  CAPTURE(text);
  const auto time = parse_typed_time(text);
  REQUIRE(time);
  CHECK(time->ms == ms);
  CHECK(time->local == local);
}

TEST_CASE("time: seconds, odd dates and far years are told from times", "[base]") {
  const auto [text, reason] = GENERATE(table<std::string, std::string>({
      {"1", "seconds"},
      {"1795829153", "1795829153000"},
      {"99999999999", "seconds"},
      {"253402300800000", "0000 to 9999"},
      {"0000-01-01T00:00:00+00:01", "0000 to 9999"},
      {"", "is no time"},
      {"-5", "is no time"},
      {"2026-02-29", "is no time"},
      {"2026-06-24T", "is no time"},
      {"2026-06-24T10", "is no time"},
      {"2026-06-24 10:00", "is no time"},
      {"2026-06-24+02:00", "is no time"},
      {"2026-06-24T10:00:00Zx", "is no time"},
      {"20260624", "seconds"},
  }));
  CAPTURE(text);
  const auto time = parse_typed_time(text);
  REQUIRE_FALSE(time);
  CHECK(time.error().message().find(reason) != std::string::npos);
}

TEST_CASE("time: floor_to goes down for negative times too", "[base]") {
  CHECK(floor_to(-1, kMinuteMs) == -kMinuteMs);
  CHECK(floor_to(-kMinuteMs, kMinuteMs) == -kMinuteMs);
  CHECK(floor_to(kMinuteMs - 1, kMinuteMs) == 0);
}

}  // namespace clickmill
