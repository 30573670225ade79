#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "log/segments.h"

namespace clickmill::log {

// Far above what 4,096 records can take, far below what LZ4's int can count.
inline constexpr size_t kRawBytesMax = size_t{1} << 30;

/// Changes `compression` to none where nothing is gained; the library's own
/// failures end there too.
std::string compress(std::string raw, Compression& compression);
/// Empty when the bytes don't give exactly `raw_size`.
std::optional<std::string> decompress(std::string_view stored, uint8_t compression,
                                      size_t raw_size);

}  // namespace clickmill::log
