#include "cluster/clock_verdict.h"

#include <algorithm>
#include <cstdlib>

namespace clickmill::cluster {
namespace {

constexpr int64_t kFarMs = 10'000;

}  // namespace

bool clock_is_fit(const std::vector<ClockOffset>& peers, size_t nodes, bool synchronised) {
  constexpr ClockOffset kOwn{};
  std::vector<ClockOffset> clocks = peers;
  clocks.push_back(kOwn);
  // The lower median lies within every set of more than half of the clocks that stand side by
  // side, so it is the middle of the majority that agrees, if there is one. (The mean of two
  // would agree with both.)
  const auto middle = clocks.begin() + static_cast<ptrdiff_t>((clocks.size() - 1) / 2);
  std::nth_element(clocks.begin(), middle, clocks.end(),
                   [](const auto& a, const auto& b) { return a.offset_ms < b.offset_ms; });
  const auto agrees = [middle = *middle](const ClockOffset& clock) {
    return std::abs(clock.offset_ms - middle.offset_ms) <=
           kFarMs + clock.error_ms + middle.error_ms;
  };
  const auto agreeing = std::count_if(clocks.begin(), clocks.end(), agrees);
  if (static_cast<size_t>(agreeing) <= nodes / 2) return synchronised;
  return agrees(kOwn);
}

}  // namespace clickmill::cluster
