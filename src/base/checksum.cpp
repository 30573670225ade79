#include "base/checksum.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace clickmill {

uint64_t xxh64_of(std::string_view bytes, uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

Hash128 xxh128_of(std::string_view bytes, uint64_t seed) {
  const XXH128_hash_t hash = XXH3_128bits_withSeed(bytes.data(), bytes.size(), seed);
  return Hash128{hash.low64, hash.high64};
}

}  // namespace clickmill
