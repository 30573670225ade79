#pragma once

#include <time.h>

#include <chrono>

namespace clickmill::bench {

/// Time since construction: of the clock, of this thread on a core, and of all
/// threads of the process.
class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }
  double core_seconds() const { return clock_seconds(CLOCK_THREAD_CPUTIME_ID) - thread_start_; }
  double process_seconds() const {
    return clock_seconds(CLOCK_PROCESS_CPUTIME_ID) - process_start_;
  }

 private:
  static double clock_seconds(clockid_t clock) {
    timespec time{};
    clock_gettime(clock, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
  }
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  double thread_start_ = clock_seconds(CLOCK_THREAD_CPUTIME_ID);
  double process_start_ = clock_seconds(CLOCK_PROCESS_CPUTIME_ID);
};

}  // namespace clickmill::bench
