#pragma once

#include <cstdint>
#include <string>

#include "base/file_system.h"
#include "base/result.h"
#include "store/part_format.h"
#include "store/part_meta.h"

namespace clickmill::store {

/// Errc::corrupt, with file and byte.
Error corrupt(const File& file, uint64_t position, const std::string& what);
/// Exactly `size` bytes, or an error.
Status read_exactly(File& file, uint64_t position, uint64_t size, std::string& out);

/// What stands at both ends of a part file, checked. Thread: any.
struct Ending {
  Footer footer;
  uint64_t file_bytes = 0;
  uint64_t checksum = 0;
};
Result<Ending> read_ending(File& file);
PartMeta meta_of(const Ending& ending, const std::string& name);
/// But for the name.
bool same_meta(const PartMeta& a, const PartMeta& b);

}  // namespace clickmill::store
