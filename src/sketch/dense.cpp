// Format of a dense sketch:
//
//   offset  size  field
//   0       1     high nibble: version, 1; low nibble: 0
//   1       1     base: the rank that code 0 means
//   2       1536  4,096 codes of 3 bits by register, lowest bit of a byte first:
//                 0–6 is rank base + code, 7 an exception
//   1538    n     the ranks of the exceptions by register, one byte each
//
// Valid: base is the lowest with the fewest exceptions, no exception is within
// base … base + 6, ranks are at most 53, and the set can have more than 1,024
// sparse entries. So each set of registers has exactly one encoding. An older
// reader refuses a newer version as corrupt.
#include "sketch/dense.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/bytes.h"
#include "sketch/version.h"

namespace clickmill::sketch {
namespace {

constexpr unsigned kCodeBits = 3;
constexpr unsigned kException = 7;
// Eight codes are exactly three bytes, the unit of packing.
constexpr size_t kGroup = 8;
constexpr size_t kCodeBytes = Registers{}.size() * kCodeBits / 8;
static_assert(kCodeBytes == 1536);

unsigned best_base(const Histogram& histogram) {
  unsigned best = 0;
  uint32_t best_covered = 0;
  for (unsigned base = 0; base <= kRankMax; ++base) {
    uint32_t covered = 0;
    for (unsigned rank = base; rank < base + kException && rank <= kRankMax; ++rank) {
      covered += histogram[rank];
    }
    if (covered > best_covered) {
      best_covered = covered;
      best = base;
    }
  }
  return best;
}

// A register of rank r can come from all of its 32 prefixes except those of a
// higher rank. If even these fit the sparse form, the set can't be dense.
bool can_be_dense(const Histogram& histogram) {
  constexpr uint32_t kPrefixes = 1U << kFineBits;
  size_t entries = 0;
  for (unsigned rank = 1; rank <= kRankMax; ++rank) {
    const uint32_t higher = rank > kFineBits ? 0 : kPrefixes >> rank;
    entries += size_t{histogram[rank]} * (kPrefixes - higher);
  }
  return entries > kEntriesMax;
}

// Ranks below the base wrap around and so are exceptions too.
constexpr unsigned code_of(uint8_t rank, unsigned base) {
  return std::min(static_cast<unsigned>(rank) - base, kException);
}

constexpr uint64_t kEachByte = 0x0101'0101'0101'0101;

/// Moves eight codes of 3 bits into eight bytes, halving the groups in three steps.
constexpr uint64_t one_per_byte(uint64_t packed) {
  packed = (packed | packed << 20) & 0x0000'0fff'0000'0fff;
  packed = (packed | packed << 10) & 0x003f'003f'003f'003f;
  return (packed | packed << 5) & 0x0707'0707'0707'0707;
}
static_assert(one_per_byte(076543210) == 0x0706'0504'0302'0100);

// Restrict on the parameters lets -O2 take sixteen maxima at a time.
void raise_each(uint8_t* __restrict to, const uint8_t* __restrict from) {
  for (size_t i = 0; i < Registers{}.size(); ++i) to[i] = to[i] < from[i] ? from[i] : to[i];
}

Error corrupt(const char* why) { return Error(Errc::corrupt, why); }

}  // namespace

Histogram histogram_of(const Registers& registers) {
  // Four counters per rank: neighbours are often equal, and one counter would
  // make each increment wait for the one before.
  std::array<Histogram, 4> counts{};
  for (size_t i = 0; i < registers.size(); i += 4) {
    ++counts[0][registers[i]];
    ++counts[1][registers[i + 1]];
    ++counts[2][registers[i + 2]];
    ++counts[3][registers[i + 3]];
  }
  for (size_t rank = 0; rank < Histogram{}.size(); ++rank) {
    counts[0][rank] += counts[1][rank] + counts[2][rank] + counts[3][rank];
  }
  return counts[0];
}

void raise(Registers& registers, const Registers& others) {
  raise_each(registers.data(), others.data());
}

std::string encode_dense(const Registers& registers) {
  const unsigned base = best_base(histogram_of(registers));
  std::string out;
  out.reserve(2 + kCodeBytes + 128);
  out.push_back(static_cast<char>(kVersion << 4));
  out.push_back(static_cast<char>(base));
  std::string exceptions;
  for (size_t i = 0; i < registers.size(); i += kGroup) {
    uint32_t packed = 0;
    for (unsigned lane = 0; lane < kGroup; ++lane) {
      const uint8_t rank = registers[i + lane];
      const unsigned code = code_of(rank, base);
      packed |= code << (lane * kCodeBits);
      if (code == kException) exceptions.push_back(static_cast<char>(rank));
    }
    for (unsigned shift = 0; shift < 24; shift += 8)
      out.push_back(static_cast<char>(packed >> shift));
  }
  return out += exceptions;
}

Status decode_dense(std::string_view bytes, Registers& out) {
  ByteCursor cursor(bytes);
  cursor.u8();
  const unsigned base = cursor.u8();
  const std::string_view codes = cursor.raw(kCodeBytes);
  if (!cursor.ok()) return corrupt("sketch: registers are cut off");
  if (base > kRankMax) return corrupt("sketch: base is above 53");
  for (size_t i = 0; i < out.size(); i += kGroup) {
    uint32_t packed = 0;
    for (unsigned byte = 0; byte < 3; ++byte) {
      packed |= uint32_t{static_cast<uint8_t>(codes[i / kGroup * 3 + byte])} << (byte * 8);
    }
    const uint64_t spread = one_per_byte(packed);
    const uint64_t ranks = spread + base * kEachByte;
    std::memcpy(&out[i], &ranks, kGroup);
    uint64_t exceptions = spread & spread >> 1 & spread >> 2 & kEachByte;
    for (; exceptions != 0; exceptions &= exceptions - 1) {
      const uint8_t rank = cursor.u8();
      if (rank > kRankMax) return corrupt("sketch: rank is above 53");
      if (code_of(rank, base) != kException) {
        return corrupt("sketch: exception within the base's range");
      }
      out[i + static_cast<unsigned>(std::countr_zero(exceptions)) / 8] = rank;
    }
  }
  if (!cursor.done()) return corrupt("sketch: wrong number of exceptions");
  const Histogram histogram = histogram_of(out);
  // A base near 53 can push codes beyond it.
  for (size_t rank = kRankMax + 1; rank < histogram.size(); ++rank) {
    if (histogram[rank] != 0) return corrupt("sketch: rank is above 53");
  }
  if (base != best_base(histogram)) return corrupt("sketch: base is not the best one");
  if (!can_be_dense(histogram)) return corrupt("sketch: dense form of a small set");
  return {};
}

}  // namespace clickmill::sketch
