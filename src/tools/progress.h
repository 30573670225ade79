#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "base/clock.h"
#include "tools/print.h"

namespace clickmill::tools {

/// How far a command is, for who waits: nothing in its first two seconds, then at most a line
/// every two. Thread: one.
class Progress {
 public:
  /// `clock` is borrowed and outlives it.
  Progress(const Clock& clock, Print tell)
      : clock_(clock), tell_(std::move(tell)), told_ns_(clock.monotonic_ns()) {}

  /// Of a long stretch of work, often. `text` is asked only when a line is due.
  void at(const std::function<std::string()>& text) {
    const int64_t now_ns = clock_.monotonic_ns();
    if (now_ns - told_ns_ < kPeriodNs) return;
    told_ns_ = now_ns;
    tell_(text());
  }

 private:
  static constexpr int64_t kPeriodNs = 2'000'000'000;

  const Clock& clock_;
  const Print tell_;
  int64_t told_ns_;
};

}  // namespace clickmill::tools
