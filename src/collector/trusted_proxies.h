#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip_address.h"

namespace clickmill::collector {

/// Whose word about the client is taken: its address, its country, the request's id.
/// Thread: any (immutable).
class TrustedProxies {
 public:
  /// Addresses or CIDR blocks, checked by the config already; others are left out.
  explicit TrustedProxies(const std::vector<std::string>& blocks);
  bool trusts(std::string_view ip) const;
  struct Client {
    std::string ip;                              ///< in its one spelling
    std::optional<std::string_view> unreadable;  ///< the hop that ended the search, if one did
  };
  /// The client: the peer, or, when the peer is trusted, the last of `hops` that is not
  /// (everything before it could be made up). A hop that is no address ends the search: who
  /// stood behind it nobody knows.
  /// `hops`: the items of X-Forwarded-For, all its lines joined.
  Client client_of(std::string_view peer_ip, const std::vector<std::string_view>& hops) const;

 private:
  struct Block {
    IpAddress address;
    unsigned bits;
  };
  bool trusts(const IpAddress& address) const;
  std::vector<Block> blocks_;
};

}  // namespace clickmill::collector
