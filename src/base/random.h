#pragma once

#include <cstdint>
#include <string>

namespace clickmill {

/// A small seeded generator (splitmix64, Steele et al. 2014): the same numbers
/// on every library and machine. Not for secrets.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  /// Uniform in [0, bound); bound > 0. The bias is below 2^-32 for bounds below 2^32.
  uint64_t below(uint64_t bound) {
    __extension__ using Wide = unsigned __int128;
    return static_cast<uint64_t>((static_cast<Wide>(next()) * bound) >> 64);
  }
  /// True once in `n` on average.
  bool one_in(uint64_t n) { return below(n) == 0; }

 private:
  uint64_t state_;
};

/// 64 bits from the kernel, for secrets and seeds. Thread: any.
uint64_t secure_random_u64();
/// A version-4 UUID in lower case, from a generator seeded per thread by the kernel.
std::string random_uuid();

}  // namespace clickmill
