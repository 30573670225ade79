#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace clickmill {

/// 128 bits of a hash; plain data.
struct Hash128 {
  uint64_t low = 0;
  uint64_t high = 0;
  friend constexpr bool operator==(const Hash128&, const Hash128&) = default;
  friend constexpr auto operator<=>(const Hash128&, const Hash128&) = default;
};

/// XXH3, 64 bits. A stable function of (bytes, seed): it stands in files.
uint64_t xxh64_of(std::string_view bytes, uint64_t seed = 0);
/// XXH3, 128 bits, likewise.
Hash128 xxh128_of(std::string_view bytes, uint64_t seed = 0);

/// Appends the XXH3-64 of everything before.
void append_checksum(std::string& bytes);
/// What append_checksum() was called with; none if it is not that, or too short for one.
std::optional<std::string_view> before_checksum(std::string_view bytes);

}  // namespace clickmill
