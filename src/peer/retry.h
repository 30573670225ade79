#pragma once

#include <algorithm>
#include <cstdint>

#include "base/random.h"

namespace clickmill::peer {

/// When to call again: waits double with each failure of a kind, and the latter half of each is
/// chance, so that nodes that failed together don't come back together. Thread: one at a time.
class Retry {
 public:
  explicit Retry(uint64_t seed) : random_(seed) {}

  bool due(int64_t now_ms) const { return now_ms >= next_ms_; }
  void now() { next_ms_ = 0; }
  void failed(int64_t now_ms, int64_t first_ms, int64_t most_ms) {
    wait_ms_ = std::clamp(wait_ms_ * 2, first_ms, most_ms);
    const auto half = static_cast<uint64_t>(wait_ms_ / 2);
    next_ms_ = now_ms + wait_ms_ - static_cast<int64_t>(random_.below(half + 1));
  }
  void succeeded() { wait_ms_ = next_ms_ = 0; }

 private:
  Random random_;
  int64_t wait_ms_ = 0;
  int64_t next_ms_ = 0;
};

}  // namespace clickmill::peer
