#include "base/random.h"

#include <sys/random.h>

#include "base/assert.h"

namespace clickmill {

uint64_t secure_random_u64() {
  uint64_t value = 0;
  const auto got = getrandom(&value, sizeof(value), 0);
  CM_ASSERT(got == sizeof(value));
  return value;
}

std::string random_uuid() {
  // Two seeded streams, so that an id carries 122 bits of the kernel's randomness.
  thread_local Random high(secure_random_u64());
  thread_local Random low(secure_random_u64());
  const uint64_t parts[2] = {(high.next() & ~uint64_t{0xf000}) | 0x4000,
                             (low.next() & ~(uint64_t{3} << 62)) | (uint64_t{2} << 62)};
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  out.reserve(36);
  for (unsigned i = 0; i < 32; ++i) {
    if (i == 8 || i == 12 || i == 16 || i == 20) out.push_back('-');
    out.push_back(kHex[(parts[i / 16] >> (60 - 4 * (i % 16))) & 0xf]);
  }
  return out;
}

}  // namespace clickmill
