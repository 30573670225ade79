#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace clickmill {

/// Appends little-endian numbers and length-prefixed bytes to a string it borrows.
class ByteWriter {
 public:
  explicit ByteWriter(std::string& out) : out_(out) {}

  void u8(uint8_t value) { out_.push_back(static_cast<char>(value)); }
  void u16(uint16_t value) { fixed(value); }
  void u32(uint32_t value) { fixed(value); }
  void u64(uint64_t value) { fixed(value); }
  void i64(int64_t value) { fixed(static_cast<uint64_t>(value)); }
  /// LEB128, 1–10 bytes.
  void varint(uint64_t value) {
    while (value >= 0x80) {
      u8(static_cast<uint8_t>(value | 0x80));
      value >>= 7;
    }
    u8(static_cast<uint8_t>(value));
  }
  /// Zigzag, then varint.
  void svarint(int64_t value) {
    varint((static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63));
  }
  void raw(std::string_view bytes) { out_.append(bytes); }
  /// varint length, then the bytes.
  void bytes(std::string_view value) {
    varint(value.size());
    raw(value);
  }
  size_t size() const { return out_.size(); }

 private:
  template <typename T>
  void fixed(T value) {
    char buffer[sizeof(T)];
    std::memcpy(buffer, &value, sizeof(T));
    out_.append(buffer, sizeof(T));
  }
  std::string& out_;
};

/// Reads what ByteWriter wrote, never past the end. A read that doesn't fit
/// gives zero or empty and makes the cursor fail for good: read everything,
/// then ask ok() once. Borrows the bytes; string_views point into them.
class ByteCursor {
 public:
  explicit ByteCursor(std::string_view bytes) : rest_(bytes), size_(bytes.size()) {}

  uint8_t u8() { return fixed<uint8_t>(); }
  uint16_t u16() { return fixed<uint16_t>(); }
  uint32_t u32() { return fixed<uint32_t>(); }
  uint64_t u64() { return fixed<uint64_t>(); }
  int64_t i64() { return static_cast<int64_t>(fixed<uint64_t>()); }
  uint64_t varint() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) return fail();
      const auto byte = static_cast<uint8_t>(rest_.front());
      rest_.remove_prefix(1);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) {
        // The tenth byte has room for one bit only.
        if (shift == 63 && byte > 1) return fail();
        return value;
      }
    }
    return fail();
  }
  int64_t svarint() {
    const uint64_t value = varint();
    return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
  }
  std::string_view raw(uint64_t length) {
    if (length > rest_.size()) {
      fail();
      return {};
    }
    const auto out = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return out;
  }
  std::string_view bytes() { return raw(varint()); }

  bool ok() const { return !failed_; }
  /// Everything was read and nothing failed.
  bool done() const { return !failed_ && rest_.empty(); }
  bool empty() const { return rest_.empty(); }
  std::string_view rest() const { return rest_; }
  size_t position() const { return size_ - rest_.size(); }
  uint64_t fail() {
    failed_ = true;
    rest_ = {};
    return 0;
  }

 private:
  template <typename T>
  T fixed() {
    T value{};
    if (rest_.size() < sizeof(T)) {
      fail();
      return value;
    }
    std::memcpy(&value, rest_.data(), sizeof(T));
    rest_.remove_prefix(sizeof(T));
    return value;
  }
  std::string_view rest_;
  size_t size_;
  bool failed_ = false;
};

/// Big-endian, so that byte order is number order (keys in the state store).
inline void append_key_u64(std::string& out, uint64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift));
}
inline void append_key_u32(std::string& out, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift));
}
inline uint64_t read_key_u64(std::string_view key) {
  uint64_t value = 0;
  for (size_t i = 0; i < 8 && i < key.size(); ++i)
    value = value << 8 | static_cast<uint8_t>(key[i]);
  return value;
}

}  // namespace clickmill
