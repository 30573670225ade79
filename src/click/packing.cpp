#include "click/packing.h"

#include <array>
#include <cstring>

namespace clickmill::click {
namespace {

constexpr char kHex[] = "0123456789abcdef";

/// Value of a lower-case hex digit, 0xff for anything else.
constexpr std::array<uint8_t, 256> kHexValue = [] {
  std::array<uint8_t, 256> table{};
  for (auto& value : table) value = 0xff;
  for (uint8_t i = 0; i < 16; ++i) table[static_cast<uint8_t>(kHex[i])] = i;
  return table;
}();

uint8_t hex_value(char c) { return kHexValue[static_cast<uint8_t>(c)]; }

/// Positions of the two hex digits of each byte in the text form.
constexpr std::array<uint8_t, kUuidBytes> kUuidDigitAt = {0,  2,  4,  6,  9,  11, 14, 16,
                                                          19, 21, 24, 26, 28, 30, 32, 34};

bool pack_v4(std::string_view text, char* out) {
  size_t at = 0;
  for (int part = 0; part < 4; ++part) {
    if (part > 0 && (at >= text.size() || text[at++] != '.')) return false;
    const size_t begin = at;
    unsigned value = 0;
    while (at < text.size() && at - begin < 3 && text[at] >= '0' && text[at] <= '9') {
      value = value * 10 + static_cast<unsigned>(text[at++] - '0');
    }
    const size_t digits = at - begin;
    if (digits == 0 || value > 255 || (digits > 1 && text[begin] == '0')) return false;
    out[part] = static_cast<char>(value);
  }
  return at == text.size();
}

size_t unpack_v4(const char* packed, char* out) {
  char* end = out;
  for (int part = 0; part < 4; ++part) {
    if (part > 0) *end++ = '.';
    const unsigned value = static_cast<uint8_t>(packed[part]);
    if (value >= 100) *end++ = static_cast<char>('0' + value / 100);
    if (value >= 10) *end++ = static_cast<char>('0' + value / 10 % 10);
    *end++ = static_cast<char>('0' + value % 10);
  }
  return static_cast<size_t>(end - out);
}

constexpr std::string_view kMappedPrefix = "::ffff:";
constexpr char kMappedBytes[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, '\xff', '\xff'};

uint16_t group_of(const char* packed, size_t group) {
  return static_cast<uint16_t>(static_cast<uint8_t>(packed[2 * group]) << 8 |
                               static_cast<uint8_t>(packed[2 * group + 1]));
}

size_t unpack_v6(const char* packed, char* out) {
  if (std::memcmp(packed, kMappedBytes, sizeof kMappedBytes) == 0) {
    std::memcpy(out, kMappedPrefix.data(), kMappedPrefix.size());
    return kMappedPrefix.size() + unpack_v4(packed + 12, out + kMappedPrefix.size());
  }
  // RFC 5952: the first of the longest runs of at least two zero groups becomes "::".
  size_t gap_begin = 8;
  size_t gap_length = 1;
  for (size_t begin = 0; begin < 8; ++begin) {
    size_t length = 0;
    while (begin + length < 8 && group_of(packed, begin + length) == 0) ++length;
    if (length > gap_length) {
      gap_begin = begin;
      gap_length = length;
    }
  }
  char* end = out;
  for (size_t group = 0; group < 8; ++group) {
    if (group == gap_begin) {
      *end++ = ':';
      *end++ = ':';
      group += gap_length - 1;
      continue;
    }
    if (group > 0 && end[-1] != ':') *end++ = ':';
    const uint16_t value = group_of(packed, group);
    if (value >= 0x1000) *end++ = kHex[value >> 12];
    if (value >= 0x100) *end++ = kHex[value >> 8 & 15];
    if (value >= 0x10) *end++ = kHex[value >> 4 & 15];
    *end++ = kHex[value & 15];
  }
  return static_cast<size_t>(end - out);
}

/// Reads hex groups separated by single colons; gives how many bytes, or -1.
int read_groups(std::string_view text, char* out) {
  int bytes = 0;
  while (!text.empty()) {
    unsigned value = 0;
    size_t digits = 0;
    while (digits < text.size() && digits < 4 && hex_value(text[digits]) != 0xff) {
      value = value << 4 | hex_value(text[digits++]);
    }
    if (digits == 0 || bytes == 16) return -1;
    out[bytes++] = static_cast<char>(value >> 8);
    out[bytes++] = static_cast<char>(value);
    text.remove_prefix(digits);
    if (text.empty()) break;
    if (text.front() != ':' || text.size() == 1) return -1;
    text.remove_prefix(1);
  }
  return bytes;
}

/// More spellings than the canonical one may pass; pack_ip compares afterwards.
bool read_v6(std::string_view text, char* out) {
  if (text.starts_with(kMappedPrefix) && text.find('.') != std::string_view::npos) {
    std::memcpy(out, kMappedBytes, sizeof kMappedBytes);
    return pack_v4(text.substr(kMappedPrefix.size()), out + sizeof kMappedBytes);
  }
  const size_t gap = text.find("::");
  if (gap == std::string_view::npos) return read_groups(text, out) == 16;
  char head[16];
  char tail[16];
  const int head_bytes = read_groups(text.substr(0, gap), head);
  const int tail_bytes = read_groups(text.substr(gap + 2), tail);
  if (head_bytes < 0 || tail_bytes < 0 || head_bytes + tail_bytes > 14) return false;
  std::memset(out, 0, 16);
  std::memcpy(out, head, static_cast<size_t>(head_bytes));
  std::memcpy(out + 16 - tail_bytes, tail, static_cast<size_t>(tail_bytes));
  return true;
}

}  // namespace

bool pack_uuid(std::string_view text, char* out) {
  if (text.size() != kUuidChars) return false;
  if (text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-') return false;
  uint8_t bad = 0;
  for (size_t i = 0; i < kUuidBytes; ++i) {
    const uint8_t high = hex_value(text[kUuidDigitAt[i]]);
    const uint8_t low = hex_value(text[kUuidDigitAt[i] + 1U]);
    bad |= high | low;
    out[i] = static_cast<char>(high << 4 | low);
  }
  return bad < 16;
}

void unpack_uuid(const char* packed, char* out) {
  out[8] = out[13] = out[18] = out[23] = '-';
  for (size_t i = 0; i < kUuidBytes; ++i) {
    const auto byte = static_cast<uint8_t>(packed[i]);
    out[kUuidDigitAt[i]] = kHex[byte >> 4];
    out[kUuidDigitAt[i] + 1U] = kHex[byte & 15];
  }
}

IpForm pack_ip(std::string_view text, char* out) {
  if (text.size() < 2 || text.size() > kIpCharsMax) return IpForm::text;
  if (pack_v4(text, out)) return IpForm::v4;
  if (!read_v6(text, out)) return IpForm::text;
  char spelled[kIpCharsMax + 1];
  const size_t length = unpack_v6(out, spelled);
  return text == std::string_view(spelled, length) ? IpForm::v6 : IpForm::text;
}

size_t unpack_ip(IpForm form, const char* packed, char* out) {
  return form == IpForm::v4 ? unpack_v4(packed, out) : unpack_v6(packed, out);
}

}  // namespace clickmill::click
