#include "engine/memory_alarm.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>

namespace clickmill::engine {
namespace {
constexpr uint64_t kFirstTenths = 5;
}

std::optional<std::string> MemoryAlarm::check(uint64_t table_bytes) {
  if (limit_bytes_ == 0) return {};
  const uint64_t tenths = table_bytes / std::max<uint64_t>(limit_bytes_ / 10, 1);
  if (tenths + 1 < told_tenths_) told_tenths_ = tenths + 1;
  if (tenths < kFirstTenths || tenths <= told_tenths_) return {};
  told_tenths_ = tenths;
  return fmt::format(
      "the ids of {} MiB take {} % of the memory that this process may use ({} MiB); give it more "
      "memory, fewer partitions to apply or fewer stream.dedup_hours",
      table_bytes >> 20, table_bytes * 100 / limit_bytes_, limit_bytes_ >> 20);
}

uint64_t memory_limit(uint64_t machine_bytes, std::string_view cgroup_memory_max) {
  uint64_t group = 0;
  const auto read = std::from_chars(cgroup_memory_max.data(),
                                    cgroup_memory_max.data() + cgroup_memory_max.size(), group);
  // "max", or no such file, is no number.
  if (read.ec != std::errc() || group == 0) return machine_bytes;
  return std::min(machine_bytes, group);
}

uint64_t memory_limit_here() {
  const long pages = sysconf(_SC_PHYS_PAGES);
  const long page_bytes = sysconf(_SC_PAGESIZE);
  if (pages <= 0 || page_bytes <= 0) return 0;
  std::string group;
  std::ifstream("/sys/fs/cgroup/memory.max") >> group;
  return memory_limit(static_cast<uint64_t>(pages) * static_cast<uint64_t>(page_bytes), group);
}

}  // namespace clickmill::engine
