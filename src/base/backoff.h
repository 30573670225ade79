#pragma once

#include <algorithm>
#include <cstdint>

namespace clickmill {

/// When to try again what has failed: after a wait that doubles with each failure.
/// Times are monotonic. Thread: one at a time.
class Backoff {
 public:
  Backoff(int64_t first_ms, int64_t most_ms) : first_ms_(first_ms), most_ms_(most_ms) {}

  bool waits(int64_t now_ns) const { return now_ns < until_ns_; }
  void failed(int64_t now_ns) {
    wait_ms_ = std::clamp(wait_ms_ * 2, first_ms_, most_ms_);
    until_ns_ = now_ns + wait_ms_ * 1'000'000;
  }
  void succeeded() { wait_ms_ = until_ns_ = 0; }

 private:
  int64_t first_ms_;
  int64_t most_ms_;
  int64_t wait_ms_ = 0;
  int64_t until_ns_ = 0;
};

}  // namespace clickmill
