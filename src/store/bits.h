#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace clickmill::store {

/// Appends numbers of any width, lowest bit first, to a string it borrows.
/// finish() pads to a whole byte; nothing may be put after it.
class BitWriter {
 public:
  explicit BitWriter(std::string& out) : out_(out) {}

  /// `value` fits in `width` bits; width 0 to 64.
  void put(uint64_t value, unsigned width) {
    buffer_ |= value << filled_;
    if (filled_ + width < 64) {
      filled_ += width;
      return;
    }
    flush(8);
    // Shifting by 64 is undefined: that is the case of an empty buffer, which took all.
    buffer_ = filled_ == 0 ? 0 : value >> (64 - filled_);
    filled_ = filled_ + width - 64;
  }
  void finish() {
    flush((filled_ + 7) / 8);
    buffer_ = 0;
    filled_ = 0;
  }

 private:
  void flush(size_t bytes) {
    char buffer[8];
    std::memcpy(buffer, &buffer_, 8);
    out_.append(buffer, bytes);
  }
  std::string& out_;
  uint64_t buffer_ = 0;
  unsigned filled_ = 0;
};

/// Reads what BitWriter wrote, with ByteCursor's contract: a read past the end
/// gives zeros and makes the reader fail for good; ask ok() at the end.
class BitReader {
 public:
  explicit BitReader(std::string_view bytes) : bytes_(bytes), size_(bytes.size() * 8) {}

  uint64_t get(unsigned width) {
    if (width == 0) return 0;
    if (width > size_ - at_) return fail();
    uint64_t value = window();
    const unsigned have = 64 - static_cast<unsigned>(at_ & 7);
    if (width > have) value |= uint64_t{byte(at_ / 8 + 8)} << have;
    at_ += width;
    return width == 64 ? value : value & ((uint64_t{1} << width) - 1);
  }
  /// A Rice code: zeros (the value >> k) and a one, then k bits, at most 63; kEscape
  /// zeros stand before a value in 64 bits.
  static constexpr unsigned kEscape = 24;
  uint64_t rice(unsigned k) {
    const uint64_t ahead = window();
    const auto zeros = static_cast<unsigned>(std::countr_zero(ahead | uint64_t{1} << kEscape));
    const unsigned width = zeros + 1 + k;
    if (zeros == kEscape || width > 57) return rice_slowly(zeros, k);
    if (width > size_ - at_) return fail();
    at_ += width;
    return uint64_t{zeros} << k | (ahead >> (zeros + 1) & ((uint64_t{1} << k) - 1));
  }
  bool ok() const { return !failed_; }
  /// The whole bytes after the current one.
  std::string_view rest() const { return bytes_.substr((at_ + 7) / 8); }
  uint64_t fail() {
    failed_ = true;
    at_ = size_;
    return 0;
  }

 private:
  uint64_t rice_slowly(unsigned zeros, unsigned k) {
    get(zeros == kEscape ? zeros : zeros + 1);
    if (zeros == kEscape) return get(64);
    return uint64_t{zeros} << k | get(k);
  }
  uint8_t byte(size_t index) const { return static_cast<uint8_t>(bytes_[index]); }
  /// At least the next 57 bits; zeros past the end.
  uint64_t window() const {
    const size_t first = at_ / 8;
    uint64_t value = 0;
    if (first + 8 <= bytes_.size()) {
      std::memcpy(&value, bytes_.data() + first, 8);
    } else {
      for (size_t i = first; i < bytes_.size(); ++i) {
        value |= uint64_t{byte(i)} << (8 * (i - first));
      }
    }
    return value >> (at_ & 7);
  }
  std::string_view bytes_;
  size_t size_;
  size_t at_ = 0;
  bool failed_ = false;
};

}  // namespace clickmill::store
