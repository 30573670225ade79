#include "collector/trusted_proxies.h"

#include <arpa/inet.h>

#include <charconv>
#include <cstring>
#include <optional>

namespace clickmill::collector {
namespace {

using Address = std::array<uint8_t, 16>;
constexpr size_t kIpv4At = 12;

std::optional<Address> parse_ip(std::string_view text, bool& ipv4) {
  const std::string copy(text);
  Address address{};
  ipv4 = inet_pton(AF_INET, copy.c_str(), address.data() + kIpv4At) == 1;
  if (ipv4) {
    address[10] = address[11] = 0xff;
    return address;
  }
  if (inet_pton(AF_INET6, copy.c_str(), address.data()) == 1) return address;
  return std::nullopt;
}

bool same_prefix(const Address& a, const Address& b, unsigned bits) {
  const size_t whole = bits / 8;
  if (std::memcmp(a.data(), b.data(), whole) != 0) return false;
  const unsigned rest = bits % 8;
  return rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace

TrustedProxies::TrustedProxies(const std::vector<std::string>& blocks) {
  for (const std::string& block : blocks) {
    const auto slash = block.find('/');
    bool ipv4 = false;
    const auto address = parse_ip(std::string_view(block).substr(0, slash), ipv4);
    if (!address) continue;
    unsigned bits = 128;
    if (slash != std::string::npos) {
      std::from_chars(block.data() + slash + 1, block.data() + block.size(), bits);
      if (ipv4) bits += 96;
    }
    if (bits <= 128) blocks_.push_back({*address, bits});
  }
}

bool TrustedProxies::trusts(std::string_view ip) const {
  if (blocks_.empty()) return false;
  bool ipv4 = false;
  const auto address = parse_ip(ip, ipv4);
  if (!address) return false;
  for (const Block& block : blocks_) {
    if (same_prefix(*address, block.address, block.bits)) return true;
  }
  return false;
}

std::string TrustedProxies::client_ip(std::string_view peer_ip,
                                      std::string_view forwarded_for) const {
  std::string client(peer_ip);
  while (trusts(client) && !forwarded_for.empty()) {
    const auto comma = forwarded_for.rfind(',');
    const auto hop =
        trimmed(comma == std::string_view::npos ? forwarded_for : forwarded_for.substr(comma + 1));
    forwarded_for =
        comma == std::string_view::npos ? std::string_view() : forwarded_for.substr(0, comma);
    bool ipv4 = false;
    if (!parse_ip(hop, ipv4)) break;
    client = hop;
  }
  return client;
}

}  // namespace clickmill::collector
