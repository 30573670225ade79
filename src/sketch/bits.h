#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"

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
  explicit BitReader(std::string_view bytes) : cursor_(bytes) {}

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
      const auto ones = static_cast<unsigned>(std::countr_one(pending_));
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
  // At most 63 bits are held, so that no shift reaches 64.
  void refill() {
    for (; held_ <= 55 && !cursor_.empty(); held_ += 8) {
      pending_ |= static_cast<uint64_t>(cursor_.u8()) << held_;
    }
  }
  void skip(unsigned count) {
    pending_ >>= count;
    held_ -= count;
  }
  uint64_t fail() {
    failed_ = true;
    return cursor_.fail();
  }

  ByteCursor cursor_;
  uint64_t pending_ = 0;
  unsigned held_ = 0;
  bool failed_ = false;
};

}  // namespace clickmill::sketch
