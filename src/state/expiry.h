#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/strong.h"
#include "state/overlay.h"

namespace clickmill::state {

/// Flagged clicks and what was done by hand are kept as long as the log.
inline constexpr int64_t kReviewKeptMs = 90 * kDayMs;
constexpr bool expired(int64_t born_age_ms, int64_t age_ms) {
  return age_ms - born_age_ms >= kReviewKeptMs;
}

/// Values that expire begin with: u8 version | varint age at birth (Horizon::age_ms).
void put_birth(uint8_t version, int64_t age_ms, std::string& out);

/// Deletes the expired front of a key range in which births never decrease. Only
/// gives space back: what has expired is nothing to readers already, so it
/// doesn't matter how much of it one checkpoint gets to. Thread: worker.
class Expiry {
 public:
  Expiry(std::string from, std::string to) : from_(std::move(from)), to_(std::move(to)) {}
  Status run(Overlay& overlay, int64_t age_ms, Batch& batch);
  /// The last run's batch was not committed.
  void again() { idle_until_age_ms_ = 0; }

 private:
  const std::string from_;
  const std::string to_;
  int64_t idle_until_age_ms_ = 0;  // nothing expires before
};

}  // namespace clickmill::state
