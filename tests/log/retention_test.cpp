#include "log/retention.h"

#include <catch2/catch.hpp>

#include "base/clock.h"
#include "base/random.h"

namespace clickmill::log {
namespace {

constexpr int64_t kNow = 1'782'295'200'000;
constexpr int64_t kYearMs = 365 * kDayMs;

/// A node's guard over restarts, with the clock in the test's hand.
struct Node {
  ManualClock clock{kNow};
  LogMs newest{kNow};
  std::optional<AgeGuard::State> kept;
  std::unique_ptr<AgeGuard> guard;

  Node() { start(); }
  void start() {
    guard = std::make_unique<AgeGuard>(kept, newest, clock.wall_ms(), clock.monotonic_ns());
    kept = guard->state();
  }
  /// Hours of running with a sweep each, and ticks that move log time.
  void run_hours(int hours) {
    for (int i = 0; i < hours; ++i) {
      clock.advance_ms(kHourMs);
      tick();
      observe();
    }
  }
  void tick() { newest = std::max(newest, LogMs(clock.wall_ms())); }
  bool observe() {
    guard->observe(clock.wall_ms(), clock.monotonic_ns());
    kept = guard->state();
    return guard->holding();
  }
  void jump_ms(int64_t step) { clock.set_wall_ms(clock.wall_ms() + step); }
};

TEST_CASE("age guard: a right clock is never held, however long the node runs", "[log]") {
  Node node;
  for (int day = 0; day < 200; ++day) {
    node.run_hours(24);
    REQUIRE_FALSE(node.guard->holding());
    if (day % 7 == 0) node.start();
    REQUIRE_FALSE(node.guard->holding());
  }
  CHECK(node.guard->state().trusted_ms == node.clock.wall_ms());
}

TEST_CASE("age guard: a start holds when the clock is more than 7 days past log time", "[log]") {
  const auto [gap, held] = GENERATE(table<int64_t, bool>({{0, false},
                                                          {-kYearMs, false},
                                                          {7 * kDayMs, false},
                                                          {7 * kDayMs + 1, true},
                                                          {kYearMs, true}}));
  CAPTURE(gap);
  Node node;
  node.jump_ms(gap);
  node.start();
  CHECK(node.guard->holding() == held);
  // Without the file too: then log time alone tells.
  node.kept.reset();
  node.start();
  CHECK(node.guard->holding() == held);
}

TEST_CASE("age guard: an empty log holds nothing back", "[log]") {
  const AgeGuard guard({}, LogMs(0), kNow, 0);
  CHECK_FALSE(guard.holding());
}

TEST_CASE("age guard: a hold lasts 7 days of running, restarts not counted", "[log]") {
  Node node;
  node.jump_ms(kYearMs);
  node.start();
  for (int hour = 0; hour < 7 * 24 - 1; ++hour) {
    node.run_hours(1);
    REQUIRE(node.guard->holding());
    // Log time has followed the clock, and a restart finds it right; the hold stays.
    if (hour % 10 == 0) node.start();
    REQUIRE(node.guard->holding());
  }
  node.run_hours(1);
  CHECK_FALSE(node.guard->holding());
  node.start();
  CHECK_FALSE(node.guard->holding());
  node.run_hours(1);
  CHECK_FALSE(node.guard->holding());
}

TEST_CASE("age guard: a jump while running holds, from a day on", "[log]") {
  const auto [jump, held] = GENERATE(table<int64_t, bool>(
      {{kDayMs, false}, {kDayMs + 1, true}, {kYearMs, true}, {-kYearMs, false}}));
  CAPTURE(jump);
  Node node;
  node.run_hours(5);
  node.jump_ms(jump);
  CHECK(node.observe() == held);
}

TEST_CASE("age guard: a jump that a kill hid in log time is found by the restart", "[log]") {
  Node node;
  node.run_hours(5);
  node.jump_ms(kYearMs);
  node.tick();  // and killed before the next sweep
  node.start();
  CHECK(node.guard->holding());
}

TEST_CASE("age guard: a clock that comes back ends the hold, a second jump begins one", "[log]") {
  Node node;
  node.run_hours(5);
  node.jump_ms(kYearMs);
  node.tick();
  CHECK(node.observe());
  node.run_hours(2);
  node.jump_ms(-kYearMs);
  CHECK_FALSE(node.observe());
  node.run_hours(2);
  // Log time is still a year ahead, so only the guard can tell.
  node.jump_ms(kYearMs / 2);
  CHECK(node.observe());
}

TEST_CASE("age guard: a clock that was far behind and is put right is no jump", "[log]") {
  Node node;
  node.jump_ms(-40 * kYearMs);
  node.start();
  node.run_hours(3);
  node.jump_ms(40 * kYearMs);
  CHECK_FALSE(node.observe());
}

TEST_CASE("age guard: an operator lifts a hold, and a restart remembers it", "[log]") {
  Node node;
  node.jump_ms(kYearMs);
  node.start();
  REQUIRE(node.guard->holding());
  node.guard->lift(node.clock.wall_ms());
  node.kept = node.guard->state();
  node.run_hours(1);
  CHECK_FALSE(node.guard->holding());
  node.start();
  CHECK_FALSE(node.guard->holding());
}

/// Segments of 100 bytes and ten offsets, one a day, the last one ending now.
Sweepable daily_segments(size_t days, Offset needed_from) {
  Sweepable out;
  for (size_t i = 0; i < days; ++i) {
    const Offset first(1 + 10 * i);
    const int64_t age = static_cast<int64_t>(days - 1 - i) * kDayMs;
    out.closed.push_back({first, first + 9, LogMs(kNow - age), 100});
    out.bytes += 100;
  }
  out.bytes += 50;  // the open one
  out.needed_from = needed_from;
  out.log_time = LogMs(kNow);
  return out;
}

/// How many segments of each partition a plan takes.
std::vector<size_t> taken(const std::vector<Sweepable>& partitions, const RetentionRules& rules,
                          int64_t wall_ms, bool by_age = true) {
  const auto before = plan_sweep(partitions, rules, wall_ms, by_age);
  std::vector<size_t> out;
  for (size_t i = 0; i < partitions.size(); ++i) {
    const auto& closed = partitions[i].closed;
    out.push_back(static_cast<size_t>(std::count_if(
        closed.begin(), closed.end(), [&](const auto& one) { return one.last < before[i]; })));
  }
  return out;
}

constexpr Offset kAllCovered(1'000'000);

TEST_CASE("sweep: takes what is older than the age, to the millisecond", "[log]") {
  const auto log = daily_segments(10, kAllCovered);
  CHECK(taken({log}, {3 * kDayMs, 0}, kNow) == std::vector<size_t>{6});
  CHECK(taken({log}, {3 * kDayMs, 0}, kNow + 1) == std::vector<size_t>{6});
  auto later = log;
  later.log_time = LogMs(kNow + 1);
  CHECK(taken({later}, {3 * kDayMs, 0}, kNow + 1) == std::vector<size_t>{7});
  CHECK(taken({log}, {90 * kDayMs, 0}, kNow) == std::vector<size_t>{0});
  CHECK(taken({}, {kDayMs, 0}, kNow).empty());
}

TEST_CASE("sweep: the older of log time and local time counts", "[log]") {
  const auto log = daily_segments(10, kAllCovered);
  CHECK(taken({log}, {3 * kDayMs, 0}, kNow + kYearMs) == std::vector<size_t>{6});
  auto ahead = log;
  ahead.log_time = LogMs(kNow + kYearMs);
  CHECK(taken({ahead}, {3 * kDayMs, 0}, kNow) == std::vector<size_t>{6});
  auto unknown = log;
  unknown.log_time = LogMs(0);
  CHECK(taken({unknown}, {3 * kDayMs, 0}, kNow) == std::vector<size_t>{0});
}

TEST_CASE("sweep: never takes what the checkpoint still needs", "[log]") {
  const auto [needed, want] = GENERATE(table<uint64_t, size_t>(
      {{0, 0}, {1, 0}, {10, 0}, {11, 1}, {20, 1}, {21, 2}, {61, 6}, {99, 6}}));
  CAPTURE(needed);
  CHECK(taken({daily_segments(10, Offset(needed))}, {3 * kDayMs, 0}, kNow) ==
        std::vector<size_t>{want});
}

TEST_CASE("sweep: while the age is held, bytes still count", "[log]") {
  const auto log = daily_segments(10, kAllCovered);
  CHECK(taken({log}, {3 * kDayMs, 0}, kNow, false) == std::vector<size_t>{0});
  CHECK(taken({log}, {3 * kDayMs, 950}, kNow, false) == std::vector<size_t>{1});
}

TEST_CASE("sweep: by bytes the oldest of all partitions go first", "[log]") {
  const auto old = daily_segments(10, kAllCovered);
  auto young = daily_segments(2, kAllCovered);
  // 1050 + 250 bytes.
  CHECK(taken({young, old}, {kYearMs, 1300}, kNow) == std::vector<size_t>{0, 0});
  CHECK(taken({young, old}, {kYearMs, 1299}, kNow) == std::vector<size_t>{0, 1});
  CHECK(taken({young, old}, {kYearMs, 500}, kNow) == std::vector<size_t>{0, 8});
  CHECK(taken({young, old}, {kYearMs, 300}, kNow) == std::vector<size_t>{1, 9});
  CHECK(taken({young, old}, {kYearMs, 1}, kNow) == std::vector<size_t>{2, 10});
  auto needed = old;
  needed.needed_from = Offset(21);
  CHECK(taken({young, needed}, {kYearMs, 1}, kNow) == std::vector<size_t>{2, 2});
}

TEST_CASE("sweep: random logs lose only whole old prefixes that nobody needs", "[log]") {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    std::vector<Sweepable> logs;
    uint64_t bytes = 0;
    for (size_t i = 0; i < 1 + random.below(5); ++i) {
      logs.push_back(daily_segments(random.below(20), Offset(random.below(220))));
      bytes += logs.back().bytes;
    }
    const RetentionRules rules{static_cast<int64_t>(random.below(20)) * kDayMs,
                               random.one_in(2) ? 0 : random.below(bytes + 100)};
    const auto before = plan_sweep(logs, rules, kNow, true);
    uint64_t left = bytes;
    bool more_may_go = false;
    for (size_t i = 0; i < logs.size(); ++i) {
      for (const auto& segment : logs[i].closed) {
        const bool gone = segment.last < before[i];
        const bool old = segment.max_append_ms < LogMs(kNow - rules.age_ms);
        const bool needed = segment.last >= logs[i].needed_from;
        if (gone) left -= segment.bytes;
        REQUIRE_FALSE((gone && needed));
        if (old && !needed) REQUIRE(gone);
        if (gone && !old) REQUIRE(rules.bytes != 0);
        more_may_go |= !gone && !needed;
      }
    }
    if (rules.bytes != 0 && more_may_go) REQUIRE(left <= rules.bytes);
  }
}

}  // namespace
}  // namespace clickmill::log
