#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace clickmill::collector {

/// Who may speak for the client's address by X-Forwarded-For. Thread: any (immutable).
class TrustedProxies {
 public:
  /// Addresses or CIDR blocks, checked by the config already; others are left out.
  explicit TrustedProxies(const std::vector<std::string>& blocks);
  bool trusts(std::string_view ip) const;
  /// The client: the peer, or, when the peer is trusted, the last address in
  /// X-Forwarded-For that is not (everything to the left of it could be made up).
  std::string client_ip(std::string_view peer_ip, std::string_view forwarded_for) const;

 private:
  struct Block {
    std::array<uint8_t, 16> address;  ///< IPv4 as ::ffff:a.b.c.d
    unsigned bits;
  };
  std::vector<Block> blocks_;
};

}  // namespace clickmill::collector
