#include "collector/trusted_proxies.h"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace clickmill::collector {
namespace {

bool same_prefix(const IpAddress& a, const IpAddress& b, unsigned bits) {
  const size_t whole = bits / 8;
  if (std::memcmp(a.bytes.data(), b.bytes.data(), whole) != 0) return false;
  const unsigned rest = bits % 8;
  return rest == 0 || (a.bytes[whole] ^ b.bytes[whole]) >> (8 - rest) == 0;
}

}  // namespace

TrustedProxies::TrustedProxies(const std::vector<std::string>& blocks) {
  for (const std::string& block : blocks) {
    const auto slash = block.find('/');
    const std::string_view text = std::string_view(block).substr(0, slash);
    const auto address = parse_ip_address(text);
    if (!address) continue;
    unsigned bits = 128;
    if (slash != std::string::npos) {
      std::from_chars(block.data() + slash + 1, block.data() + block.size(), bits);
      // Of an IPv4 block they are counted behind the ::ffff: in front of it.
      if (text.find(':') == std::string_view::npos) bits += 96;
    }
    if (bits <= 128) blocks_.push_back({*address, bits});
  }
}

bool TrustedProxies::trusts(const IpAddress& address) const {
  return std::any_of(blocks_.begin(), blocks_.end(), [&](const Block& block) {
    return same_prefix(address, block.address, block.bits);
  });
}

bool TrustedProxies::trusts(std::string_view ip) const {
  if (blocks_.empty()) return false;
  const auto address = read_ip_address(ip);
  return address && trusts(*address);
}

TrustedProxies::Client TrustedProxies::client_of(std::string_view peer_ip,
                                                 const std::vector<std::string_view>& hops) const {
  Client out;
  // From the nearest hop back, as far as each is one of ours: what stands in front of the
  // first stranger is that stranger's word.
  auto client = read_ip_address(peer_ip);
  for (auto hop = hops.rbegin(); client && hop != hops.rend() && trusts(*client); ++hop) {
    const auto address = read_ip_address(*hop);
    if (!address) {
      out.unreadable = *hop;
      break;
    }
    client = address;
  }
  out.ip = client ? to_string(*client) : std::string(peer_ip);
  return out;
}

}  // namespace clickmill::collector
