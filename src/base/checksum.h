#pragma once

#include <cstdint>
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

}  // namespace clickmill
