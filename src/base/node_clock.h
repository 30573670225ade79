#pragma once

#include <atomic>
#include <string>

#include "base/clock.h"
#include "base/strong.h"

namespace clickmill {

/// The node's arrival time: the wall clock, but never decreasing, restarts
/// included (start it with raise() at the newest time that was recovered).
/// A clock that is behind makes time stand still until it has caught up. One
/// that jumps ahead by more than a day, between two calls, is believed when it
/// is synchronised; else time goes on by the monotonic clock until the wall
/// clock is back within a day of it, or somebody vouches for it. The same holds for a
/// start: the wall clock is compared with the newest time on record (begin_at).
/// Thread: any.
class NodeClock {
 public:
  explicit NodeClock(const Clock& clock);

  ArrivalMs now();
  /// Time is not below `floor` from now on.
  void raise(ArrivalMs floor);
  /// Before the first now(): `newest` is the newest time that an earlier run recorded; 0:
  /// there is none, and the wall clock is believed.
  void begin_at(ArrivalMs newest);
  /// Somebody says that the wall clock is right.
  void believe();
  /// When something happened that carries no time of its own and arrived at `arrival`,
  /// which now() has just given: the wall clock's time where node time stands still, since
  /// the minute where it stands is not that of anything new.
  int64_t happened_ms(ArrivalMs arrival) const;
  /// Why time is not what the wall clock says; empty while it is, give or take 10 s.
  std::string trouble();
  const Clock& system() const { return clock_; }

 private:
  int64_t last() const { return last_.load(std::memory_order_relaxed); }
  int64_t monotonic_ms() const { return clock_.monotonic_ns() / 1'000'000; }
  int64_t expected_ms() const;

  const Clock& clock_;
  std::atomic<int64_t> last_{0};
  std::atomic<int64_t> wall_minus_monotonic_;  ///< when the wall clock was last believed
};

}  // namespace clickmill
