#pragma once

#include <cstdint>

namespace clickmill::bench {

/// What this process holds of the machine's memory, files that are mapped included:
/// `VmRSS` and, the most it ever was, `VmHWM` of /proc/self/status. 0: not known.
struct ProcessMemory {
  uint64_t bytes = 0;
  uint64_t most_bytes = 0;
  static ProcessMemory now();
};

}  // namespace clickmill::bench
