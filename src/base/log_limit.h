#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>

namespace clickmill {

/// Keeps what fails again and again from filling the disk with lines about it:
/// of lines that differ in their numbers only, so many go through in a period.
/// Thread: one at a time. Memory: bounded; kinds of lines beyond go through.
class LogLimit {
 public:
  static constexpr int64_t kPeriodMs = 600'000;
  static constexpr uint32_t kLines = 100;  ///< a line from each of 64 partitions is no flood
  static constexpr size_t kKindsMost = 512;

  /// How many like it were left out before this one; nothing: leave it out too.
  std::optional<uint64_t> admit(std::string_view area, std::string_view message, int64_t now_ms);

 private:
  struct Kind {
    int64_t period_begin_ms = 0;
    uint32_t lines = 0;
    uint64_t left_out = 0;
  };
  std::unordered_map<uint64_t, Kind> kinds_;
};

}  // namespace clickmill
