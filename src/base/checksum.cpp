#include "base/checksum.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/bytes.h"

namespace clickmill {

uint64_t xxh64_of(std::string_view bytes, uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

Hash128 xxh128_of(std::string_view bytes, uint64_t seed) {
  const XXH128_hash_t hash = XXH3_128bits_withSeed(bytes.data(), bytes.size(), seed);
  return Hash128{hash.low64, hash.high64};
}

void append_checksum(std::string& bytes) {
  const uint64_t checksum = xxh64_of(bytes);
  ByteWriter(bytes).u64(checksum);
}

std::optional<std::string_view> before_checksum(std::string_view bytes) {
  if (bytes.size() < sizeof(uint64_t)) return std::nullopt;
  const auto body = bytes.substr(0, bytes.size() - sizeof(uint64_t));
  if (ByteCursor(bytes.substr(body.size())).u64() != xxh64_of(body)) return std::nullopt;
  return body;
}

}  // namespace clickmill
