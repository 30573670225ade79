#include "base/process_metrics.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>

#include "base/log_writer.h"

/// Of jemalloc, where the program is linked with it.
extern "C" __attribute__((weak)) int mallctl(const char* name, void* old, size_t* old_size,
                                             void* fresh, size_t fresh_size);

namespace clickmill {
namespace {

double heap_bytes(const char* name) {
  uint64_t epoch = 1;  // the numbers are as of the last one that was begun
  size_t size = sizeof(epoch);
  size_t bytes = 0;
  if (mallctl("epoch", &epoch, &size, &epoch, sizeof(epoch)) != 0) return 0;
  size = sizeof(bytes);
  return mallctl(name, &bytes, &size, nullptr, 0) == 0 ? static_cast<double>(bytes) : 0;
}

/// Field `index` of /proc/self/statm, which counts pages.
double memory_bytes(int index) {
  std::ifstream file("/proc/self/statm");
  double pages = 0;
  for (int i = 0; i <= index; ++i) file >> pages;
  return pages * static_cast<double>(sysconf(_SC_PAGESIZE));
}

double entries_of(const char* directory) {
  DIR* open = opendir(directory);
  if (open == nullptr) return 0;
  double count = 0;
  while (const dirent* entry = readdir(open)) {
    if (entry->d_name[0] != '.') ++count;
  }
  closedir(open);
  return count;
}

double cpu_seconds() {
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double max_fds() {
  rlimit limit{};
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? static_cast<double>(limit.rlim_cur) : 0;
}

}  // namespace

void add_process_metrics(Metrics& metrics, int64_t start_ms) {
  metrics.counter_from("process_cpu_seconds_total", "User and system CPU time.", cpu_seconds);
  metrics.gauge_from("process_resident_memory_bytes", "Resident memory.",
                     [] { return memory_bytes(1); });
  metrics.gauge_from("process_virtual_memory_bytes", "Virtual memory.",
                     [] { return memory_bytes(0); });
  if (mallctl != nullptr) {
    metrics.gauge_from("clickmill_heap_allocated_bytes", "What the program holds of its heap.",
                       [] { return heap_bytes("stats.allocated"); });
    metrics.gauge_from("clickmill_heap_resident_bytes",
                       "What its heap takes of resident memory, with all that is free in it.",
                       [] { return heap_bytes("stats.resident"); });
  }
  // The directory that is read is open meanwhile and counts itself.
  metrics.gauge_from("process_open_fds", "Open file descriptors.",
                     [] { return entries_of("/proc/self/fd") - 1; });
  metrics.gauge_from("process_max_fds", "File descriptors that may be open.", max_fds);
  metrics.gauge_from("process_threads", "Threads.", [] { return entries_of("/proc/self/task"); });
  metrics.counter_from("clickmill_log_lines_dropped_total",
                       "Log lines that stderr did not take in time.",
                       [] { return static_cast<double>(LogWriter::dropped()); });
  metrics.gauge_from("process_start_time_seconds", "Start of the process, since 1970.",
                     [start_ms] { return static_cast<double>(start_ms) / 1e3; });
}

}  // namespace clickmill
