#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace clickmill::log {

/// How a segment's blocks are packed. Stands in files: never renumber.
enum class Compression : uint8_t { none = 0, lz4 = 1, zstd = 2 };

// Far above what 4,096 records can take, far below what LZ4's int can count.
inline constexpr size_t kRawBytesMax = size_t{1} << 30;

/// Changes `compression` to none where nothing is gained; the library's own
/// failures end there too.
std::string compress(std::string raw, Compression& compression);
/// Empty when the bytes don't give exactly `raw_size`.
std::optional<std::string> decompress(std::string_view stored, uint8_t compression,
                                      size_t raw_size);

}  // namespace clickmill::log
