#include "collector/trusted_proxies.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

namespace clickmill::collector {
namespace {

using Hops = std::vector<std::string_view>;

const TrustedProxies kProxies({"10.0.0.0/8", "192.0.2.1", "2001:db8:1::/48", "no address"});

}  // namespace

TEST_CASE("trusted proxies: addresses and blocks, however they are spelled", "[collector]") {
  const auto [ip, want] = GENERATE(table<std::string, bool>({
      {"10.0.0.0", true},
      {"10.255.255.255", true},
      {"11.0.0.0", false},
      {"9.255.255.255", false},
      {"192.0.2.1", true},
      {"192.0.2.0", false},
      {"192.0.2.2", false},
      {"::ffff:10.1.2.3", true},
      {"::ffff:a01:203", true},
      {"::ffff:11.1.2.3", false},
      {"::10.1.2.3", false},
      {"2001:db8:1::", true},
      {"2001:DB8:1:ffff:ffff:ffff:ffff:ffff", true},
      {"2001:db8:2::", false},
      {"", false},
      {"no address", false},
  }));
  CAPTURE(ip);
  CHECK(kProxies.trusts(ip) == want);
}

TEST_CASE("trusted proxies: the client is the last hop that no proxy is", "[collector]") {
  const auto [peer, hops, want] = GENERATE(table<std::string, Hops, std::string>({
      {"203.0.113.9", {}, "203.0.113.9"},
      {"203.0.113.9", {"203.0.113.7"}, "203.0.113.9"},
      {"10.0.0.1", {}, "10.0.0.1"},
      {"10.0.0.1", {"203.0.113.7"}, "203.0.113.7"},
      {"10.0.0.1", {"1.1.1.1", "203.0.113.7"}, "203.0.113.7"},
      {"10.0.0.1", {"1.1.1.1", "203.0.113.7", "10.0.0.2", "192.0.2.1"}, "203.0.113.7"},
      {"10.0.0.1", {"10.0.0.3", "10.0.0.2"}, "10.0.0.3"},
      {"10.0.0.1", {"203.0.113.7:51234"}, "203.0.113.7"},
      {"10.0.0.1", {"1.1.1.1", "[2001:db8::7]:443", "10.0.0.2:80"}, "2001:db8::7"},
      {"10.0.0.1", {"\"[2001:DB8:0::7]\""}, "2001:db8::7"},
      {"10.0.0.1", {"::ffff:203.0.113.7"}, "203.0.113.7"},
      {"10.0.0.1", {"203.0.113.7", "::ffff:10.0.0.2"}, "203.0.113.7"},
      {"10.0.0.1", {"203.0.113.7", "[2001:db8:1::5]:8080"}, "203.0.113.7"},
      {"10.0.0.1", {"203.0.113.7", "unknown"}, "10.0.0.1"},
      {"10.0.0.1", {"203.0.113.7", "unknown", "10.0.0.2"}, "10.0.0.2"},
      {"10.0.0.1", {"unknown", "203.0.113.7"}, "203.0.113.7"},
      {"::ffff:10.0.0.1", {"203.0.113.7"}, "203.0.113.7"},
      {"::ffff:203.0.113.9", {}, "203.0.113.9"},
      {"fe80::1%eth0", {}, "fe80::1"},
  }));
  CAPTURE(peer, hops);
  const auto client = kProxies.client_of(peer, hops);
  CHECK(client.ip == want);
  const bool unreadable = want == "10.0.0.1" && !hops.empty();
  if (unreadable) CHECK(client.unreadable == "unknown");
}

TEST_CASE("trusted proxies: without any, nobody speaks for another", "[collector]") {
  const TrustedProxies none({});
  CHECK_FALSE(none.trusts("127.0.0.1"));
  CHECK(none.client_of("127.0.0.1", {"203.0.113.7"}).ip == "127.0.0.1");
}

TEST_CASE("trusted proxies: a block of everything trusts both families", "[collector]") {
  CHECK(TrustedProxies({"0.0.0.0/0"}).trusts("203.0.113.7"));
  CHECK_FALSE(TrustedProxies({"0.0.0.0/0"}).trusts("2001:db8::7"));
  CHECK(TrustedProxies({"::/0"}).trusts("2001:db8::7"));
}

}  // namespace clickmill::collector
