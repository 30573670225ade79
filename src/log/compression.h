#pragma once

#include <cstdint>

namespace clickmill::log {

/// How a segment's blocks are packed. Stands in files: never renumber.
enum class Compression : uint8_t { none = 0, lz4 = 1, zstd = 2 };

}  // namespace clickmill::log
