#pragma once

#include <optional>
#include <vector>

#include "log/segments.h"

namespace clickmill::log {

/// Decides whether the clock may be believed when it says that old segments are
/// to go, so that one that is wrong can't empty the disk.
///
/// It keeps a trusted time, which moves on with the monotonic clock and follows
/// the wall clock as long as that is at most kJumpMs ahead of it (kStartGapMs
/// right after a start, since nobody knows how long the node was down). When the
/// wall clock is further ahead, deletion by age is held: until kHoldMs of running
/// have passed, the clock is back, or an operator lifts it. The state is kept over
/// restarts, which thus don't shorten a hold; nor do they make a clock that jumped
/// before the kill look right, although log time has jumped with it.
/// Pure: times are arguments. Thread: one at a time.
class AgeGuard {
 public:
  static constexpr int64_t kStartGapMs = 7 * kDayMs;
  static constexpr int64_t kJumpMs = kDayMs;
  static constexpr int64_t kHoldMs = 7 * kDayMs;

  struct State {
    int64_t trusted_ms = 0;
    int64_t hold_left_ms = 0;  ///< 0: not held
    friend bool operator==(const State&, const State&) = default;
  };
  /// `known`: what the last run kept, if there was one. `newest`: the newest log
  /// time of all partitions; 0: the log is empty.
  AgeGuard(std::optional<State> known, LogMs newest, int64_t wall_ms, int64_t monotonic_ns);

  /// Call at least every few hours, and before asking holding().
  void observe(int64_t wall_ms, int64_t monotonic_ns);
  /// The clock is right, says the operator.
  void lift(int64_t wall_ms);
  bool holding() const { return state_.hold_left_ms > 0; }
  const State& state() const { return state_; }

 private:
  State state_;
  int64_t seen_ns_;
};

struct RetentionRules {
  int64_t age_ms = 90 * kDayMs;
  uint64_t bytes = 0;  ///< of all partitions together; 0: no limit
};

/// One partition's log before a sweep.
struct Sweepable {
  std::vector<Segments::Closed> closed;
  uint64_t bytes = 0;  ///< the open segment included
  Offset needed_from;  ///< first offset that the stream's durable checkpoint doesn't cover
  LogMs log_time;      ///< 0: not known, nothing is old then
};

/// For each partition the offset before which whole segments go: those older than
/// the age by log time and by `wall_ms` (by_age), then the oldest of all while
/// there are more bytes than the rules allow. Never what is still needed.
std::vector<Offset> plan_sweep(const std::vector<Sweepable>& partitions,
                               const RetentionRules& rules, int64_t wall_ms, bool by_age);

}  // namespace clickmill::log
