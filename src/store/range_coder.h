#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace clickmill::store {

/// 65536 / (n + 2), the pace at which a probability seen n times moves.
inline constexpr auto kPaces = [] {
  std::array<int32_t, 63> paces{};
  for (int32_t n = 0; n < 63; ++n) paces[static_cast<size_t>(n)] = 65'536 / (n + 2);
  return paces;
}();

/// The probability of a one, learnt from the bits coded so far: in steps of
/// 1/(n + 2) at first, 1/64 at last.
struct AdaptiveBit {
  uint16_t one = 1 << 15;  ///< in 65536ths, never 0
  uint8_t seen = 0;

  void learn(bool bit) {
    // The ends stay open: a sure bit that comes out otherwise must have a code.
    const int32_t target = bit ? 65'472 : 64;
    const auto step = static_cast<int32_t>((int64_t{target - one} * kPaces[seen]) >> 16);
    one = static_cast<uint16_t>(one + step);
    if (seen + 1U < kPaces.size()) ++seen;
  }
};

/// Binary arithmetic coding as in M. Mahoney's lpaq: an interval of 32 bits is
/// split by the probability of each bit; leading bytes that both ends share are
/// written. Encoder and decoder have the same calls, so that a model is written
/// once: `bit` is what to encode, ignored when decoding; the answer is the bit.
class RangeEncoder {
 public:
  static constexpr bool kDecodes = false;
  explicit RangeEncoder(std::string& out) : out_(out) {}

  bool bit(AdaptiveBit& context, bool bit) {
    code(context.one, bit);
    context.learn(bit);
    return bit;
  }
  /// `width` bits that have no model.
  uint64_t raw(uint64_t value, unsigned width) {
    while (width > 0) code(1 << 15, (value >> --width & 1) != 0);
    return value;
  }
  /// The fewest bytes that name a number in the interval; zeros are read past the end.
  void finish() {
    for (unsigned shift = 24;; shift -= 8) {
      const uint64_t mask = (uint64_t{1} << shift) - 1;
      const uint64_t number = (low_ + mask) & ~mask;
      if (number > high_) continue;
      for (unsigned at = 32; at > shift; at -= 8) put(static_cast<uint32_t>(number >> (at - 8)));
      return;
    }
  }

 private:
  void put(uint32_t byte) { out_.push_back(static_cast<char>(byte)); }
  void code(uint32_t one, bool bit) {
    const auto middle = low_ + static_cast<uint32_t>((uint64_t{high_ - low_} * one) >> 16);
    (bit ? high_ : low_) = bit ? middle : middle + 1;
    while ((low_ ^ high_) >> 24 == 0) {
      put(high_ >> 24);
      low_ <<= 8;
      high_ = high_ << 8 | 0xff;
    }
  }
  std::string& out_;
  uint32_t low_ = 0;
  uint32_t high_ = UINT32_MAX;
};

/// Reads what RangeEncoder wrote; gives some bits for any bytes, never reads past them.
class RangeDecoder {
 public:
  static constexpr bool kDecodes = true;
  explicit RangeDecoder(std::string_view bytes) : bytes_(bytes) {
    for (int i = 0; i < 4; ++i) number_ = number_ << 8 | next();
  }

  bool bit(AdaptiveBit& context, bool) {
    const bool bit = decode(context.one);
    context.learn(bit);
    return bit;
  }
  uint64_t raw(uint64_t, unsigned width) {
    uint64_t value = 0;
    for (; width > 0; --width) value = value << 1 | (decode(1 << 15) ? 1 : 0);
    return value;
  }

 private:
  uint32_t next() { return at_ < bytes_.size() ? static_cast<uint8_t>(bytes_[at_++]) : 0; }
  bool decode(uint32_t one) {
    const auto middle = low_ + static_cast<uint32_t>((uint64_t{high_ - low_} * one) >> 16);
    const bool bit = number_ <= middle;
    (bit ? high_ : low_) = bit ? middle : middle + 1;
    while ((low_ ^ high_) >> 24 == 0) {
      low_ <<= 8;
      high_ = high_ << 8 | 0xff;
      number_ = number_ << 8 | next();
    }
    return bit;
  }
  std::string_view bytes_;
  size_t at_ = 0;
  uint32_t low_ = 0;
  uint32_t high_ = UINT32_MAX;
  uint32_t number_ = 0;
};

}  // namespace clickmill::store
