#include "process_memory.h"

#include <fstream>
#include <string>

namespace clickmill::bench {

ProcessMemory ProcessMemory::now() {
  ProcessMemory memory;
  std::ifstream file("/proc/self/status");
  uint64_t kib = 0;
  for (std::string name; file >> name;) {
    if (name == "VmRSS:" && file >> kib) memory.bytes = kib << 10;
    if (name == "VmHWM:" && file >> kib) memory.most_bytes = kib << 10;
  }
  return memory;
}

}  // namespace clickmill::bench
