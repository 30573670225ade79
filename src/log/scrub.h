#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/strong.h"

namespace clickmill::log {

/// When each partition's segments are read and checked whole: each once in
/// kPeriodMs, one after the other, a new log's spread over the period.
/// Pure: times are arguments. Thread: one at a time.
class ScrubPlan {
 public:
  static constexpr int64_t kPeriodMs = 30 * kDayMs;

  /// `checked_ms`: when each partition was last read to its end; 0: never.
  ScrubPlan(std::vector<int64_t> checked_ms, int64_t now_ms);

  /// The partition that waits longest, if its time has come.
  std::optional<size_t> due(int64_t now_ms) const;
  void done(size_t partition, int64_t now_ms) { checked_ms_[partition] = now_ms; }
  const std::vector<int64_t>& checked_ms() const { return checked_ms_; }
  /// How fast to read: twice as fast as it takes to get round in a period, so that
  /// a node that is down half of the time still gets round.
  static uint64_t bytes_per_s(uint64_t log_bytes);

 private:
  std::vector<int64_t> checked_ms_;
};

}  // namespace clickmill::log
