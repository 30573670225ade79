#include "base/ip_address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

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

}  // namespace

bool IpAddress::is_v4() const {
  constexpr std::array<uint8_t, kV4At> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return std::equal(kMapped.begin(), kMapped.end(), bytes.begin());
}

std::optional<IpAddress> parse_ip_address(std::string_view text) {
  // inet_pton reads to a NUL, which a text from outside may hold.
  if (text.size() >= INET6_ADDRSTRLEN || text.find('\0') != std::string_view::npos) return {};
  const std::string ended(text);
  IpAddress address;
  if (::inet_pton(AF_INET6, ended.c_str(), address.bytes.data()) == 1) return address;
  address = {};
  address.bytes[kV4At - 2] = address.bytes[kV4At - 1] = 0xff;
  if (::inet_pton(AF_INET, ended.c_str(), address.bytes.data() + kV4At) == 1) return address;
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
  char text[INET6_ADDRSTRLEN] = "";
  const auto* const v4 = address.bytes.data() + kV4At;
  if (address.is_v4()) return ::inet_ntop(AF_INET, v4, text, sizeof text);
  return ::inet_ntop(AF_INET6, address.bytes.data(), text, sizeof text);
}

}  // namespace clickmill
