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

std::string NodeClock::trouble() {
  const int64_t ahead = clock_.wall_ms() - now().value();
  if (ahead > kBehindMostMs) {
    return fmt::format(
        "clock: the wall clock jumped {} s ahead and is not synchronised; time goes on by "
        "the monotonic clock until it is back, is synchronised, or the node is restarted",
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
