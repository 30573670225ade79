#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace clickmill::collector {

/// Writes a small database in MaxMind's format (its specification, version 2.0), with
/// records of 24 bits.
class MmdbWriter {
 public:
  explicit MmdbWriter(uint16_t ip_version = 6) : ip_version_(ip_version) {}

  static std::string text(const std::string& value) {
    return static_cast<char>(2 << 5 | static_cast<int>(value.size())) + value;
  }
  static std::string map(const std::vector<std::pair<std::string, std::string>>& fields) {
    std::string out(1, static_cast<char>(7 << 5 | static_cast<int>(fields.size())));
    for (const auto& [key, value] : fields) out += text(key) + value;
    return out;
  }
  static std::string number(int type, uint64_t value, size_t bytes) {
    std::string out;
    if (type <= 7) {
      out += static_cast<char>(type << 5 | static_cast<int>(bytes));
    } else {
      out += static_cast<char>(bytes);
      out += static_cast<char>(type - 7);
    }
    for (size_t i = bytes; i-- > 0;) out += static_cast<char>(value >> (8 * i));
    return out;
  }

  /// `record` for all addresses that begin with these bits of `bytes` (16, or 4).
  MmdbWriter& add(const std::vector<uint8_t>& bytes, unsigned bits, const std::string& record) {
    const uint32_t leaf = static_cast<uint32_t>(records_.size());
    records_.push_back(record);
    size_t at = 0;
    for (unsigned bit = 0; bit < bits; ++bit) {
      const size_t side = bytes[bit / 8] >> (7 - bit % 8) & 1;
      if (bit + 1 == bits) {
        nodes_[at][side] = {Kind::record, leaf};
      } else if (nodes_[at][side].kind != Kind::node) {
        nodes_.push_back({});
        nodes_[at][side] = {Kind::node, static_cast<uint32_t>(nodes_.size() - 1)};
      }
      at = nodes_[at][side].value;
    }
    return *this;
  }
  /// Of an IPv6 database: below ::/96.
  MmdbWriter& add_v4(std::array<uint8_t, 4> address, unsigned bits, const std::string& record) {
    std::vector<uint8_t> bytes(ip_version_ == 6 ? 12 : 0);
    bytes.insert(bytes.end(), address.begin(), address.end());
    return add(bytes, bits + (ip_version_ == 6 ? 96 : 0), record);
  }

  std::string bytes() const {
    std::string data;
    std::vector<uint32_t> offsets;
    for (const std::string& record : records_) {
      offsets.push_back(static_cast<uint32_t>(data.size()));
      data += record;
    }
    const auto count = static_cast<uint32_t>(nodes_.size());
    std::string out;
    for (const auto& node : nodes_) {
      for (const auto& side : node) {
        uint32_t value = count;
        if (side.kind == Kind::node) value = side.value;
        if (side.kind == Kind::record) value = count + 16 + offsets[side.value];
        for (const int shift : {16, 8, 0}) out += static_cast<char>(value >> shift);
      }
    }
    out += std::string(16, '\0') + data + "\xab\xcd\xefMaxMind.com";
    return out + map({{"node_count", number(6, count, 4)},
                      {"record_size", number(5, 24, 2)},
                      {"ip_version", number(5, ip_version_, 2)},
                      {"database_type", text("country ipvAll")},
                      {"languages", std::string("\x00\x04", 2)},
                      {"binary_format_major_version", number(5, 2, 2)},
                      {"binary_format_minor_version", number(5, 0, 2)},
                      {"build_epoch", number(9, 1'781'654'400, 8)},
                      {"description", map({})}});
  }

 private:
  enum class Kind : uint8_t { empty, node, record };
  struct Side {
    Kind kind = Kind::empty;
    uint32_t value = 0;
  };
  const uint16_t ip_version_;
  std::vector<std::array<Side, 2>> nodes_ = {{}};
  std::vector<std::string> records_;
};

}  // namespace clickmill::collector
