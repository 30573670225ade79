#include "base/node_clock.h"

#include <fmt/format.h>

#include <algorithm>

namespace clickmill {
namespace {

constexpr int64_t kBehindMostMs = 10'000;

}  // namespace

NodeClock::NodeClock(const Clock& clock)
    : clock_(clock), wall_minus_monotonic_(clock.wall_ms() - clock.monotonic_ns() / 1'000'000) {}

/// What the wall clock should say now. After it was behind it may come back to
/// where node time stands, which is no jump.
int64_t NodeClock::expected_ms() const {
  return std::max(monotonic_ms() + wall_minus_monotonic_.load(std::memory_order_relaxed), last());
}

ArrivalMs NodeClock::now() {
  const int64_t expected = expected_ms();
  const int64_t wall = clock_.wall_ms();
  if (wall > expected + kDayMs && !clock_.synchronised()) {
    raise(ArrivalMs(expected));
  } else {
    wall_minus_monotonic_.store(wall - monotonic_ms(), std::memory_order_relaxed);
    raise(ArrivalMs(wall));
  }
  return ArrivalMs(last());
}

void NodeClock::raise(ArrivalMs floor) {
  int64_t seen = last();
  while (seen < floor.value() &&
         !last_.compare_exchange_weak(seen, floor.value(), std::memory_order_relaxed)) {
  }
}

void NodeClock::begin_at(ArrivalMs newest) {
  raise(newest);
  if (newest.value() <= 0) return;
  // As if it had been believed last when that was recorded: now() judges the step since.
  wall_minus_monotonic_.store(std::min(clock_.wall_ms(), newest.value()) - monotonic_ms(),
                              std::memory_order_relaxed);
}

void NodeClock::believe() {
  wall_minus_monotonic_.store(clock_.wall_ms() - monotonic_ms(), std::memory_order_relaxed);
}

int64_t NodeClock::happened_ms(ArrivalMs arrival) const {
  const int64_t wall = clock_.wall_ms();
  return wall < arrival.value() - kBehindMostMs ? wall : arrival.value();
}

std::string NodeClock::trouble() {
  const int64_t ahead = clock_.wall_ms() - now().value();
  if (ahead > kBehindMostMs) {
    return fmt::format(
        "clock: the wall clock is {} s ahead of what was recorded and is not synchronised; time "
        "goes on by the monotonic clock until it is back or is synchronised; if it is right, "
        "clickmill retention --now says so",
        ahead / 1000);
  }
  if (ahead < -kBehindMostMs) {
    return fmt::format(
        "clock: the wall clock is {} s behind what was recorded; time stands still until "
        "it has caught up",
        -ahead / 1000);
  }
  return {};
}

}  // namespace clickmill
