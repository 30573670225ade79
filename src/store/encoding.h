#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "store/bits.h"

namespace clickmill::store {

/// A column of numbers in whichever form is shortest for it: all equal,
/// bit-packed above the smallest, Rice-coded around the median, or sparse.
/// Forms: top of encoding.cpp. Any 64-bit values are given back exactly.
void encode_column(std::span<const uint64_t> values, BitWriter& out);
/// Fills `values`, whose size the caller knows. False (or a failed reader) when
/// the bits can't be a column of that size.
bool decode_column(BitReader& in, std::span<uint64_t> values);

/// A column whose value i is a share of limits[i] (so never above it): the
/// mobile clicks of all clicks, say. Coded as the distance from the share that
/// is usual in the column, in no more room than the limit leaves; where the
/// limit is 0 nothing is stored.
void encode_shares(std::span<const uint64_t> limits, std::span<const uint64_t> values,
                   BitWriter& out);
bool decode_shares(BitReader& in, std::span<const uint64_t> limits, std::span<uint64_t> values);

/// Numbers 0..limit by their distance from `center`: the nearest get the lowest
/// codes, alternating sides until one side is used up.
inline uint64_t fold(uint64_t value, uint64_t center, uint64_t limit) {
  const uint64_t both = std::min(center, limit - center);
  const uint64_t distance = value > center ? value - center : center - value;
  if (distance > both) return both + distance;
  return value > center ? 2 * distance - 1 : 2 * distance;
}
/// Back again; `code` is at most `limit`.
inline uint64_t unfold(uint64_t code, uint64_t center, uint64_t limit) {
  const uint64_t both = std::min(center, limit - center);
  if (code <= 2 * both) return code % 2 == 1 ? center + (code / 2 + 1) : center - code / 2;
  return center == both ? code : limit - code;
}

}  // namespace clickmill::store
