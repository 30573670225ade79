#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace clickmill {

/// An IP address. IPv4 stands as ::ffff:a.b.c.d, so that the same machine is the
/// same address however a dual-stack program names it.
struct IpAddress {
  std::array<uint8_t, 16> bytes{};
  bool is_v4() const;
  friend bool operator==(const IpAddress&, const IpAddress&) = default;
};

/// An address as it is written in a config: nothing around it.
std::optional<IpAddress> parse_ip_address(std::string_view text);
/// An address as proxies and logs write it: blanks and quotes around it, a port behind
/// it, brackets, a zone (`203.0.113.7:51234`, `"[2001:db8::7]:443"`, `fe80::1%eth0`).
std::optional<IpAddress> read_ip_address(std::string_view text);
/// The IPv4 address that stands in an IPv6 address of a translation (6to4, 2002::/16; NAT64,
/// 64:ff9b::/96), else the address itself.
IpAddress without_translation(const IpAddress& address);
/// Whether it can be some machine's on the internet: in no private, shared, documentation,
/// multicast or otherwise reserved range (IANA's special-purpose registries).
bool is_global(const IpAddress& address);
/// The one way in which an address is written: IPv4 dotted, IPv6 as in RFC 5952.
std::string to_string(const IpAddress& address);

}  // namespace clickmill
