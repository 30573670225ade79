#include "base/clock.h"

#include <sys/timex.h>

#include <ctime>

namespace clickmill {
namespace {

int64_t read_ns(clockid_t id) {
  timespec now{};
  clock_gettime(id, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

int64_t SystemClock::wall_ms() const { return read_ns(CLOCK_REALTIME) / 1'000'000; }
int64_t SystemClock::monotonic_ns() const { return read_ns(CLOCK_MONOTONIC); }

bool SystemClock::synchronised() const {
  timex state{};
  return adjtimex(&state) != TIME_ERROR && (state.status & STA_UNSYNC) == 0;
}

}  // namespace clickmill
