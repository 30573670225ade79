#pragma once

#include <time.h>

#include <chrono>

namespace clickmill::bench {

/// Time since construction: of the clock, and of this thread on a core.
class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }
  double core_seconds() const { return thread_seconds() - thread_start_; }

 private:
  static double thread_seconds() {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
  }
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  double thread_start_ = thread_seconds();
};

}  // namespace clickmill::bench
