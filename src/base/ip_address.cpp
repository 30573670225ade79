#include "base/ip_address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <iterator>

namespace clickmill {
namespace {

constexpr size_t kV4At = 12;

std::string_view without_blanks(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::string_view without_quotes(std::string_view text) {
  text = without_blanks(text);
  if (text.size() < 2 || text.front() != '"' || text.back() != '"') return text;
  return without_blanks(text.substr(1, text.size() - 2));
}

/// What may stand behind an address: nothing, or a colon and a port that may be left out.
bool is_port_or_nothing(std::string_view text) {
  if (text.empty()) return true;
  if (text.front() != ':' || text.size() > 6) return false;
  text.remove_prefix(1);
  uint32_t port = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), port);
  return text.empty() ||
         (failure == std::errc{} && end == text.data() + text.size() && port <= 65'535);
}

/// An interface's name says something on that machine only.
std::string_view without_zone(std::string_view text) {
  const size_t percent = text.find('%');
  if (percent == std::string_view::npos || percent + 1 == text.size()) return text;
  return text.find(':') < percent ? text.substr(0, percent) : text;
}

/// Its first `bits` are the block's.
struct Range {
  std::array<uint8_t, 16> begin;
  unsigned bits;
};

constexpr Range v4(uint8_t a, uint8_t b, uint8_t c, unsigned bits) {
  return {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, 0}, 96 + bits};
}
constexpr Range v6(uint16_t a, uint16_t b, unsigned bits) {
  return {{static_cast<uint8_t>(a >> 8), static_cast<uint8_t>(a), static_cast<uint8_t>(b >> 8),
           static_cast<uint8_t>(b), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
          bits};
}

constexpr Range kReservedV4[] = {
    v4(0, 0, 0, 8),      v4(10, 0, 0, 8),     v4(100, 64, 0, 10), v4(127, 0, 0, 8),
    v4(169, 254, 0, 16), v4(172, 16, 0, 12),  v4(192, 0, 0, 24),  v4(192, 0, 2, 24),
    v4(192, 88, 99, 24), v4(192, 168, 0, 16), v4(198, 18, 0, 15), v4(198, 51, 100, 24),
    v4(203, 0, 113, 24), v4(224, 0, 0, 4),    v4(240, 0, 0, 4),
};
/// Of IPv6 only 2000::/3 is given out at all.
constexpr Range kUnicast = v6(0x2000, 0, 3);
constexpr Range kReservedV6[] = {
    v6(0x2001, 0, 23),      // Teredo, ORCHID and other protocols
    v6(0x2001, 0xdb8, 32),  // documentation
    v6(0x2002, 0, 16),      // 6to4, where what stands in it was not taken out
    v6(0x3fff, 0, 20),      // documentation
};

bool within(const IpAddress& address, const Range& range) {
  const size_t whole = range.bits / 8;
  const unsigned rest = range.bits % 8;
  return std::equal(range.begin.begin(), range.begin.begin() + static_cast<std::ptrdiff_t>(whole),
                    address.bytes.begin()) &&
         (rest == 0 || (address.bytes[whole] ^ range.begin[whole]) >> (8 - rest) == 0);
}

/// With the IPv4 address whose bytes begin at `at`.
IpAddress v4_within(const IpAddress& address, size_t at) {
  IpAddress out;
  out.bytes[kV4At - 2] = out.bytes[kV4At - 1] = 0xff;
  std::copy_n(address.bytes.begin() + static_cast<std::ptrdiff_t>(at), 4,
              out.bytes.begin() + kV4At);
  return out;
}

}  // namespace

IpAddress without_translation(const IpAddress& address) {
  if (within(address, v6(0x2002, 0, 16))) return v4_within(address, 2);
  if (within(address, v6(0x64, 0xff9b, 96))) return v4_within(address, kV4At);
  return address;
}

namespace {

// Each click has an address to be read and written. inet_pton and inet_ntop take what these take
// and give what they give (a leading zero is refused, since to some it says octal), but through
// sprintf.

std::optional<IpAddress> read_v4(std::string_view text) {
  IpAddress address;
  address.bytes[kV4At - 2] = address.bytes[kV4At - 1] = 0xff;
  size_t at = 0;
  for (size_t part = 0; part < 4; ++part) {
    if (part > 0 && (at >= text.size() || text[at++] != '.')) return std::nullopt;
    const size_t begin = at;
    unsigned value = 0;
    while (at < text.size() && at - begin < 3 && text[at] >= '0' && text[at] <= '9')
      value = value * 10 + static_cast<unsigned>(text[at++] - '0');
    const size_t digits = at - begin;
    if (digits == 0 || value > 255 || (digits > 1 && text[begin] == '0')) return std::nullopt;
    address.bytes[kV4At + part] = static_cast<uint8_t>(value);
  }
  return at == text.size() ? std::optional(address) : std::nullopt;
}

std::string text_of_v4(const IpAddress& address) {
  std::array<char, INET_ADDRSTRLEN> text;
  char* end = text.data();
  for (size_t part = 0; part < 4; ++part) {
    if (part > 0) *end++ = '.';
    end = std::to_chars(end, text.data() + text.size(), address.bytes[kV4At + part]).ptr;
  }
  return std::string(text.data(), end);
}

}  // namespace

bool is_global(const IpAddress& address) {
  const auto reserved = [&](const auto& ranges) {
    return std::any_of(std::begin(ranges), std::end(ranges),
                       [&](const Range& range) { return within(address, range); });
  };
  if (address.is_v4()) return !reserved(kReservedV4);
  return within(address, kUnicast) && !reserved(kReservedV6);
}

bool IpAddress::is_v4() const {
  constexpr std::array<uint8_t, kV4At> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return std::equal(kMapped.begin(), kMapped.end(), bytes.begin());
}

std::optional<IpAddress> parse_ip_address(std::string_view text) {
  if (const auto address = read_v4(text)) return address;
  // inet_pton reads to a NUL, which a text from outside may hold.
  if (text.size() >= INET6_ADDRSTRLEN || text.find('\0') != std::string_view::npos) return {};
  const std::string ended(text);
  IpAddress address;
  if (::inet_pton(AF_INET6, ended.c_str(), address.bytes.data()) == 1) return address;
  return std::nullopt;
}

std::optional<IpAddress> read_ip_address(std::string_view text) {
  text = without_quotes(text);
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    if (end == std::string_view::npos || !is_port_or_nothing(text.substr(end + 1))) return {};
    return parse_ip_address(without_zone(text.substr(1, end - 1)));
  }
  const size_t colon = text.find(':');
  const bool one_colon = colon != std::string_view::npos && colon == text.rfind(':');
  if (one_colon && is_port_or_nothing(text.substr(colon))) text = text.substr(0, colon);
  return parse_ip_address(without_zone(text));
}

std::string to_string(const IpAddress& address) {
  if (address.is_v4()) return text_of_v4(address);
  char text[INET6_ADDRSTRLEN] = "";
  return ::inet_ntop(AF_INET6, address.bytes.data(), text, sizeof text);
}

}  // namespace clickmill
