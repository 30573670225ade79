/* Preloaded into a node: its wall clock is so many seconds ahead as WRONG_CLOCK_S says. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t id, struct timespec* time) {
  static int (*next)(clockid_t, struct timespec*);
  if (next == NULL) next = (int (*)(clockid_t, struct timespec*))dlsym(RTLD_NEXT, "clock_gettime");
  int answer = next(id, time);
  const char* ahead = getenv("WRONG_CLOCK_S");
  if (answer == 0 && id == CLOCK_REALTIME && ahead != NULL) time->tv_sec += atol(ahead);
  return answer;
}
