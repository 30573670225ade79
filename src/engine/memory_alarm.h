#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace clickmill::engine {

/// Says in time that the ids' tables outgrow the machine. They grow with the
/// traffic of a day and can't refuse an id, so the only end is that memory is
/// used up; at half of it there are hours left to act.
/// Thread: one.
class MemoryAlarm {
 public:
  explicit MemoryAlarm(uint64_t limit_bytes) : limit_bytes_(limit_bytes) {}

  /// What to tell the operator: when another tenth of the memory is used, from
  /// half of it on. Told anew after use has fallen by a tenth.
  std::optional<std::string> check(uint64_t table_bytes);
  uint64_t limit_bytes() const { return limit_bytes_; }

 private:
  const uint64_t limit_bytes_;
  uint64_t told_tenths_ = 0;
};

/// Memory that this process may use: the machine's, or its control group's if
/// that is less. `cgroup_memory_max` is the content of the group's memory.max.
uint64_t memory_limit(uint64_t machine_bytes, std::string_view cgroup_memory_max);
uint64_t memory_limit_here();

}  // namespace clickmill::engine
