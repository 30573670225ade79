#include "cluster/clock_verdict.h"

#include <algorithm>
#include <cstdlib>

// The verdict sets nobody's time right. Clicks that a clock hours ahead has stamped, since its
// kernel vouched for it, wait in their node's spool for as long. Not to believe a clock that the
// majority contradicts takes the others' clocks, and beats tell node time: machines that slept
// together, and wake with clocks that are right, would hold each other back for ever. And what is
// stamped already can't be stamped anew: when it arrived is known only while the clock stays as
// wrong as it was, and a time after its arrival could count a copy of a click whose id is
// forgotten.

namespace clickmill::cluster {
namespace {

constexpr int64_t kFarMs = 10'000;

}  // namespace

bool clock_is_fit(const std::vector<ClockOffset>& peers, size_t nodes, size_t copies,
                  bool synchronised) {
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
  const auto agreeing = static_cast<size_t>(std::count_if(clocks.begin(), clocks.end(), agrees));
  if (agreeing <= nodes / 2)
    return synchronised || (agreeing == clocks.size() && agreeing > copies / 2);
  return agrees(kOwn);
}

}  // namespace clickmill::cluster
