#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace clickmill::sketch {

/// Appends bits to a string it borrows, lowest bit of a byte first.
class BitWriter {
 public:
  explicit BitWriter(std::string& out) : out_(out) {}

  /// The `count` (at most 32) lowest bits of `value`; the others must be 0.
  void bits(uint64_t value, unsigned count) {
    pending_ |= value << held_;
    held_ += count;
    for (; held_ >= 8; held_ -= 8, pending_ >>= 8) out_.push_back(static_cast<char>(pending_));
  }
  /// `value` ones, then a zero.
  void unary(uint64_t value) {
    for (; value >= 32; value -= 32) bits(0xffff'ffff, 32);
    bits((uint64_t{1} << value) - 1, static_cast<unsigned>(value) + 1);
  }
  /// Fills the last byte with ones, which no finished unary number can be.
  void pad_with_ones() {
    if (held_ != 0) bits((1U << (8 - held_)) - 1, 8 - held_);
  }

 private:
  std::string& out_;
  uint64_t pending_ = 0;
  unsigned held_ = 0;
};

/// Reads what BitWriter wrote, never past the end. A read that doesn't fit
/// gives 0 and makes the reader fail for good.
class BitReader {
 public:
  explicit BitReader(std::string_view bytes)
      : next_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  uint64_t bits(unsigned count) {
    refill();
    if (count > held_) return fail();
    const uint64_t value = pending_ & ((uint64_t{1} << count) - 1);
    skip(count);
    return value;
  }
  uint64_t unary() {
    uint64_t value = 0;
    for (;;) {
      refill();
      if (held_ == 0) return fail();
      const auto ones = std::min(static_cast<unsigned>(std::countr_one(pending_)), held_);
      value += ones;
      if (ones < held_) {
        skip(ones + 1);
        return value;
      }
      skip(held_);
    }
  }
  /// Nothing is left but the ones that fill the last byte.
  bool at_padding() {
    refill();
    return held_ < 8 && pending_ == (uint64_t{1} << held_) - 1;
  }
  bool ok() const { return !failed_; }

 private:
  // At most 63 bits are held, so that no shift reaches 64. Above them may stand bits that
  // come again with the next refill.
  void refill() {
    if (held_ > 55) return;
    if (end_ - next_ >= 8) {
      pending_ |= load_u64(next_) << held_;
      next_ += (63 - held_) / 8;
      held_ |= 56;
      return;
    }
    for (; held_ <= 55 && next_ != end_; held_ += 8) {
      pending_ |= static_cast<uint64_t>(static_cast<uint8_t>(*next_++)) << held_;
    }
  }
  static uint64_t load_u64(const char* from) {
    uint64_t value = 0;
    std::memcpy(&value, from, 8);
    return value;
  }
  void skip(unsigned count) {
    pending_ >>= count;
    held_ -= count;
  }
  uint64_t fail() {
    failed_ = true;
    next_ = end_;
    pending_ = held_ = 0;
    return 0;
  }

  const char* next_;
  const char* end_;
  uint64_t pending_ = 0;
  unsigned held_ = 0;
  bool failed_ = false;
};

}  // namespace clickmill::sketch
