// A line, `width` = 40, 44, … 64 bytes with capacity = (8·width − 65) / 14 slots:
//
//   offset        size            field
//   0             8               tags
//   8             capacity        bits 0–7 of each slot's fingerprint
//   8 + capacity  6·capacity bits bits 8–13 of each slot's fingerprint
//   last bit      1 bit           some of the line's slots are in `spills`
//
// Slots are filled in the order of their bands. `tags` says which band each is
// in, read from the lowest bit: 0 is the next slot, 1 is a step to the next band
// (from the shard's first on), and the highest bit set ends it. So the tag
// costs a bit per slot and a bit per band: n + 31 + 1 ≤ 63. All zero is an empty line.
#pragma once

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/assert.h"

namespace clickmill::dedup {

static_assert(std::endian::native == std::endian::little, "slots are found by byte order");

inline constexpr uint32_t kFingerprintBits = 14;
inline constexpr uint32_t kFingerprintMask = (1 << kFingerprintBits) - 1;
inline constexpr uint32_t kWidthMin = 40;
inline constexpr uint32_t kWidthMax = 64;
inline constexpr uint32_t kWidthStep = 4;
inline constexpr uint32_t kOffsetMax = 31;

constexpr uint32_t capacity_of(uint32_t width) { return (8 * width - 65) / kFingerprintBits; }
static_assert(capacity_of(kWidthMax) + kOffsetMax + 1 <= 63);

constexpr uint64_t low_bits(uint32_t count) { return (uint64_t{1} << count) - 1; }

/// std::popcount without the library call that it is on plain x86-64 (Warren, 5-1).
constexpr uint32_t ones_in(uint64_t x) {
  x -= x >> 1 & 0x5555555555555555;
  x = (x & 0x3333333333333333) + (x >> 2 & 0x3333333333333333);
  x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0f;
  return static_cast<uint32_t>(x * 0x0101010101010101 >> 56);
}

/// The tags of a line, see the top.
class Tags {
 public:
  explicit Tags(uint64_t bits) : bits_(bits == 0 ? 1 : bits) {}
  uint64_t bits() const { return bits_; }
  uint32_t size() const { return length() - steps(); }
  /// Which band slot `index` is in, counted from the shard's first.
  uint32_t offset(uint32_t index) const {
    uint64_t slots = ~bits_;
    for (uint32_t i = 0; i < index; ++i) slots &= slots - 1;
    return static_cast<uint32_t>(std::countr_zero(slots)) - index;
  }
  void append(uint32_t offset) {
    CM_DEBUG_ASSERT(offset >= steps() && offset <= kOffsetMax);
    const uint32_t end = length();
    const uint32_t more = offset - steps();
    bits_ ^= uint64_t{1} << end;
    bits_ |= low_bits(more) << end | uint64_t{1} << (end + more + 1);
  }
  /// Removes the slots of bands before `offset` and says how many there were.
  uint32_t drop_before(uint32_t offset) {
    if (steps() < offset) {
      const uint32_t all = size();
      bits_ = 1;
      return all;
    }
    uint64_t rest = bits_;
    for (uint32_t i = 1; i < offset; ++i) rest &= rest - 1;
    const auto end = static_cast<uint32_t>(std::countr_zero(rest)) + 1;
    bits_ = (bits_ >> end) << offset | low_bits(offset);
    return end - offset;
  }
  /// Whether drop_before(offset) would surely find none.
  bool begins_at(uint32_t offset) const { return (~bits_ & low_bits(offset)) == 0; }

  /// The newest slot's band, counted from the shard's first.
  uint32_t steps() const { return ones_in(bits_) - 1; }

 private:
  uint32_t length() const { return static_cast<uint32_t>(std::bit_width(bits_)) - 1; }
  uint64_t bits_;
};

/// A line in the memory of a shard.
class Line {
 public:
  Line(uint8_t* bytes, uint32_t width, uint32_t capacity)
      : bytes_(bytes), width_(width), capacity_(capacity) {}

  Tags tags() const {
    uint64_t bits;
    std::memcpy(&bits, bytes_, sizeof(bits));
    return Tags(bits);
  }
  void set_tags(Tags tags) {
    const uint64_t bits = tags.bits();
    std::memcpy(bytes_, &bits, sizeof(bits));
  }
  uint32_t fingerprint(uint32_t index) const {
    const uint32_t bit = 6 * index;
    const uint32_t high = load16(8 + capacity_ + bit / 8) >> (bit % 8) & 0x3f;
    return bytes_[8 + index] | high << 8;
  }
  void set_fingerprint(uint32_t index, uint32_t fingerprint) {
    bytes_[8 + index] = static_cast<uint8_t>(fingerprint);
    const uint32_t bit = 6 * index;
    const uint32_t at = 8 + capacity_ + bit / 8;
    const uint32_t others = load16(at) & ~(0x3fu << (bit % 8));
    const auto word = static_cast<uint16_t>(others | (fingerprint >> 8) << (bit % 8));
    std::memcpy(bytes_ + at, &word, sizeof(word));
  }
  bool spilled() const { return (bytes_[width_ - 1] & 0x80) != 0; }
  void set_spilled() { bytes_[width_ - 1] |= 0x80; }

  void append(uint32_t fingerprint, uint32_t offset) {
    auto changed = tags();
    set_fingerprint(changed.size(), fingerprint);
    changed.append(offset);
    set_tags(changed);
  }

  /// Moves all fingerprints `count` slots to the front.
  void shift_down(uint32_t count) {
    std::memmove(bytes_ + 8, bytes_ + 8 + count, capacity_ - count);
    uint64_t words[5] = {};
    const size_t at = 8 + capacity_;
    const uint8_t last = bytes_[width_ - 1];
    std::memcpy(words, bytes_ + at, width_ - at);
    const uint32_t bits = 6 * count;
    uint64_t* from = words + bits / 64;
    const uint32_t rest = bits % 64;
    for (size_t i = 0; i < 3; ++i, ++from) {
      // Two shifts: by 64 at once would be undefined.
      if (from < words + 4) words[i] = from[0] >> rest | from[1] << 1 << (63 - rest);
    }
    std::memcpy(bytes_ + at, words, width_ - at);
    bytes_[width_ - 1] = static_cast<uint8_t>((bytes_[width_ - 1] & 0x7f) | (last & 0x80));
  }

  /// Becomes what a line of the same or a lesser width is; that has no spills. The
  /// bits after its last slot come along: they are those of free slots here.
  void take(const Line& narrower) {
    CM_DEBUG_ASSERT(narrower.width_ <= width_ && !narrower.spilled());
    std::memcpy(bytes_, narrower.bytes_, 8 + narrower.capacity_);
    std::memcpy(bytes_ + 8 + capacity_, narrower.bytes_ + 8 + narrower.capacity_,
                (6 * narrower.capacity_ + 7) / 8);
  }

  /// Calls visit(index) for each slot whose fingerprint has this low byte.
  template <typename Visit>
  void for_each_with(uint8_t low_byte, const Visit& visit) const {
    uint32_t equal = slots_with(low_byte);
    if (equal == 0) return;
    for (equal &= static_cast<uint32_t>(low_bits(tags().size())); equal != 0; equal &= equal - 1)
      visit(static_cast<uint32_t>(std::countr_zero(equal)));
  }

 private:
  static_assert(capacity_of(kWidthMax) < 32 && 8 + 32 <= kWidthMin);
  /// Bit i of the lowest `capacity`: whether slot i has it, or is free and looks so. Nearly
  /// always none has, so all 32 bytes from the first slot on are looked at together.
  uint32_t slots_with(uint8_t low_byte) const {
#ifdef __SSE2__
    const auto half = [&](const uint8_t* at) {
      const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
      const __m128i equal = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(static_cast<char>(low_byte)));
      return static_cast<uint32_t>(_mm_movemask_epi8(equal));
    };
    return half(bytes_ + 8) | half(bytes_ + 24) << 16;
#else
    uint32_t equal = 0;
    for (uint32_t i = 0; i < 32; ++i) equal |= (bytes_[8 + i] == low_byte ? 1U : 0U) << i;
    return equal;
#endif
  }
  uint32_t load16(uint32_t at) const {
    uint16_t word;
    std::memcpy(&word, bytes_ + at, sizeof(word));
    return word;
  }
  uint8_t* bytes_;
  uint32_t width_;
  uint32_t capacity_;
};

}  // namespace clickmill::dedup
