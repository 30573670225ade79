#pragma once

#include <algorithm>
#include <atomic>

#include "base/clock.h"
#include "base/strong.h"

namespace clickmill {

/// The node's arrival time: the wall clock, but never decreasing, restarts
/// included (start it with raise() at the newest time that was recovered).
/// A clock that is behind makes time stand still until it has caught up.
/// Thread: any.
class NodeClock {
 public:
  explicit NodeClock(const Clock& clock) : clock_(clock) {}

  ArrivalMs now() {
    raise(ArrivalMs(clock_.wall_ms()));
    return ArrivalMs(last_.load(std::memory_order_relaxed));
  }
  /// Time is not below `floor` from now on.
  void raise(ArrivalMs floor) {
    int64_t seen = last_.load(std::memory_order_relaxed);
    while (seen < floor.value() &&
           !last_.compare_exchange_weak(seen, floor.value(), std::memory_order_relaxed)) {
    }
  }
  const Clock& system() const { return clock_; }

 private:
  const Clock& clock_;
  std::atomic<int64_t> last_{0};
};

}  // namespace clickmill
