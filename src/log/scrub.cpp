#include "log/scrub.h"

#include <algorithm>

namespace clickmill::log {
namespace {

// Below this a small log would take days for nothing.
constexpr uint64_t kBytesPerSecondMin = 1 << 20;

}  // namespace

ScrubPlan::ScrubPlan(std::vector<int64_t> checked_ms, int64_t now_ms)
    : checked_ms_(std::move(checked_ms)) {
  const auto count = static_cast<int64_t>(checked_ms_.size());
  for (int64_t i = 0; i < count; ++i) {
    int64_t& checked = checked_ms_[static_cast<size_t>(i)];
    if (checked == 0) checked = now_ms - kPeriodMs + kPeriodMs / count * (i + 1);
    // The clock was ahead when that was written; believed, it would put the next off for ever.
    checked = std::min(checked, now_ms);
  }
}

std::optional<size_t> ScrubPlan::due(int64_t now_ms) const {
  const auto oldest = std::min_element(checked_ms_.begin(), checked_ms_.end());
  if (oldest == checked_ms_.end() || now_ms - *oldest < kPeriodMs) return std::nullopt;
  return static_cast<size_t>(oldest - checked_ms_.begin());
}

uint64_t ScrubPlan::bytes_per_s(uint64_t log_bytes) {
  return std::max(kBytesPerSecondMin, log_bytes / (kPeriodMs / 2 / 1000));
}

}  // namespace clickmill::log
