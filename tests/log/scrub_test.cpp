#include "log/scrub.h"

#include <catch2/catch.hpp>

namespace clickmill::log {
namespace {

constexpr int64_t kNow = 1'782'295'200'000;

TEST_CASE("scrub: each partition once in 30 days, a new log's spread over them", "[log]") {
  constexpr size_t kPartitions = 64;
  ScrubPlan plan(std::vector<int64_t>(kPartitions), kNow);
  CHECK_FALSE(plan.due(kNow));
  std::vector<std::vector<int64_t>> checked(kPartitions);
  int64_t most_in_an_hour = 0;
  for (int64_t hour = 0; hour <= 24 * 60; ++hour) {
    const int64_t now = kNow + hour * kHourMs;
    int64_t in_hour = 0;
    while (const auto due = plan.due(now)) {
      checked[*due].push_back(now);
      plan.done(*due, now);
      ++in_hour;
    }
    most_in_an_hour = std::max(most_in_an_hour, in_hour);
  }
  CHECK(most_in_an_hour == 1);
  for (const auto& times : checked) {
    REQUIRE(times.size() == 2);
    CHECK(times[1] - times[0] >= ScrubPlan::kPeriodMs);
    CHECK(times[1] - times[0] <= ScrubPlan::kPeriodMs + kHourMs);
  }
}

TEST_CASE("scrub: goes on after a restart where it was, the longest waiting first", "[log]") {
  ScrubPlan plan({kNow - 3 * kDayMs, kNow - 45 * kDayMs, kNow - 40 * kDayMs}, kNow);
  CHECK(plan.due(kNow) == 1U);
  plan.done(1, kNow);
  const ScrubPlan again(plan.checked_ms(), kNow);
  CHECK(again.due(kNow) == 2U);
}

TEST_CASE("scrub: times from a clock that was ahead put nothing off for ever", "[log]") {
  ScrubPlan plan({kNow + 1000 * kDayMs}, kNow);
  CHECK_FALSE(plan.due(kNow + ScrubPlan::kPeriodMs - 1));
  CHECK(plan.due(kNow + ScrubPlan::kPeriodMs) == 0U);
}

TEST_CASE("scrub: is fast enough to get round twice in its period", "[log]") {
  const uint64_t log_bytes = uint64_t{4} << 40;
  const auto seconds = static_cast<uint64_t>(ScrubPlan::kPeriodMs / 1000);
  CHECK(ScrubPlan::bytes_per_s(log_bytes) * seconds / 2 >= log_bytes - seconds);
  CHECK(ScrubPlan::bytes_per_s(0) > 0);
}

}  // namespace
}  // namespace clickmill::log
