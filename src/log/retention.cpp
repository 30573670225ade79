#include "log/retention.h"

#include <algorithm>

namespace clickmill::log {
namespace {

/// How many of a partition's segments may go at all; they go from the front.
size_t droppable(const Sweepable& partition) {
  const auto needed =
      std::find_if(partition.closed.begin(), partition.closed.end(),
                   [&](const auto& segment) { return segment.last >= partition.needed_from; });
  return static_cast<size_t>(needed - partition.closed.begin());
}

size_t older_than(const Sweepable& partition, LogMs limit) {
  const auto young =
      std::find_if(partition.closed.begin(), partition.closed.end(),
                   [&](const auto& segment) { return segment.max_append_ms >= limit; });
  return static_cast<size_t>(young - partition.closed.begin());
}

/// The partition whose next segment to go is the oldest; nothing when none may go.
std::optional<size_t> oldest(const std::vector<Sweepable>& partitions,
                             const std::vector<size_t>& gone) {
  std::optional<size_t> found;
  const auto next = [&](size_t i) { return partitions[i].closed[gone[i]].max_append_ms; };
  for (size_t i = 0; i < partitions.size(); ++i) {
    if (gone[i] >= droppable(partitions[i])) continue;
    if (!found || next(i) < next(*found)) found = i;
  }
  return found;
}

uint64_t bytes_after(const Sweepable& partition, size_t gone) {
  uint64_t bytes = partition.bytes;
  for (size_t i = 0; i < gone; ++i) bytes -= std::min(bytes, partition.closed[i].bytes);
  return bytes;
}

}  // namespace

AgeGuard::AgeGuard(std::optional<State> known, LogMs newest, int64_t wall_ms, int64_t monotonic_ns)
    : seen_ns_(monotonic_ns) {
  const bool empty = newest.value() == 0;
  // A clock that jumped before a kill may have left its time in the log, but not
  // in what was trusted; and one that stood back then is corrected by the log.
  int64_t trusted = empty ? wall_ms : newest.value();
  if (known) trusted = empty ? known->trusted_ms : std::min(trusted, known->trusted_ms);
  if (wall_ms - trusted <= kStartGapMs) {
    state_.trusted_ms = std::max(trusted, wall_ms);
    return;
  }
  state_.trusted_ms = trusted;
  state_.hold_left_ms = known && known->hold_left_ms > 0 ? known->hold_left_ms : kHoldMs;
}

void AgeGuard::observe(int64_t wall_ms, int64_t monotonic_ns) {
  const int64_t elapsed_ms = (monotonic_ns - seen_ns_) / 1'000'000;
  seen_ns_ += elapsed_ms * 1'000'000;
  state_.trusted_ms += elapsed_ms;
  if (wall_ms - state_.trusted_ms <= kJumpMs) {
    state_.hold_left_ms = 0;
    // One that is far behind isn't followed: when it is put right it must not
    // look like a jump.
    if (state_.trusted_ms - wall_ms <= kJumpMs) state_.trusted_ms = wall_ms;
    return;
  }
  if (!holding()) {
    state_.hold_left_ms = kHoldMs;
    return;
  }
  state_.hold_left_ms -= elapsed_ms;
  if (state_.hold_left_ms <= 0) lift(wall_ms);
}

void AgeGuard::lift(int64_t wall_ms) {
  state_.hold_left_ms = 0;
  state_.trusted_ms = wall_ms;
}

std::vector<Offset> plan_sweep(const std::vector<Sweepable>& partitions,
                               const RetentionRules& rules, int64_t wall_ms, bool by_age) {
  std::vector<size_t> gone(partitions.size(), 0);
  uint64_t bytes = 0;
  for (size_t i = 0; i < partitions.size(); ++i) {
    const int64_t now = std::min(partitions[i].log_time.value(), wall_ms);
    if (by_age) {
      gone[i] =
          std::min(older_than(partitions[i], LogMs(now - rules.age_ms)), droppable(partitions[i]));
    }
    bytes += bytes_after(partitions[i], gone[i]);
  }
  while (rules.bytes != 0 && bytes > rules.bytes) {
    const auto next = oldest(partitions, gone);
    if (!next) break;
    bytes -= std::min(bytes, partitions[*next].closed[gone[*next]].bytes);
    ++gone[*next];
  }
  std::vector<Offset> before;
  for (size_t i = 0; i < partitions.size(); ++i) {
    before.push_back(gone[i] == 0 ? Offset(0) : partitions[i].closed[gone[i] - 1].last + 1);
  }
  return before;
}

}  // namespace clickmill::log
