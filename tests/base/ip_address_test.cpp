#include "base/ip_address.h"

#include <arpa/inet.h>

#include <array>
#include <catch2/catch.hpp>
#include <string>

#include "base/random.h"

namespace clickmill {
namespace {

std::string read(std::string_view text) {
  const auto address = read_ip_address(text);
  return address ? to_string(*address) : "none";
}

std::string parsed(std::string_view text) {
  const auto address = parse_ip_address(text);
  return address ? to_string(*address) : "none";
}

}  // namespace

TEST_CASE("ip address: every spelling of an address reads as its one text", "[base]") {
  const auto [text, want] = GENERATE(table<std::string, std::string>({
      {"203.0.113.7", "203.0.113.7"},
      {" \t203.0.113.7 ", "203.0.113.7"},
      {"\"203.0.113.7\"", "203.0.113.7"},
      {"\" 203.0.113.7 \"", "203.0.113.7"},
      {"203.0.113.7:51234", "203.0.113.7"},
      {"203.0.113.7:0", "203.0.113.7"},
      {"203.0.113.7:65535", "203.0.113.7"},
      {"203.0.113.7:", "203.0.113.7"},
      {"\"203.0.113.7:51234\"", "203.0.113.7"},
      {"[203.0.113.7]:80", "203.0.113.7"},
      {"2001:db8::7", "2001:db8::7"},
      {"[2001:db8::7]", "2001:db8::7"},
      {"[2001:db8::7]:443", "2001:db8::7"},
      {"\"[2001:db8::7]:443\"", "2001:db8::7"},
      {"2001:DB8:0:0:0:0:0:7", "2001:db8::7"},
      {"2001:0db8:0000:0000:0000:0000:0000:0007", "2001:db8::7"},
      {"2001:db8:0:1:0:0:0:7", "2001:db8:0:1::7"},
      {"2001:db8:0:1:1:1:1:7", "2001:db8:0:1:1:1:1:7"},
      {"::", "::"},
      {"::1", "::1"},
      {"::ffff:203.0.113.7", "203.0.113.7"},
      {"::FFFF:203.0.113.7", "203.0.113.7"},
      {"::ffff:cb00:7107", "203.0.113.7"},
      {"0:0:0:0:0:ffff:203.0.113.7", "203.0.113.7"},
      {"[::ffff:203.0.113.7]:51234", "203.0.113.7"},
      {"fe80::1%eth0", "fe80::1"},
      {"[fe80::1%25eth0]:443", "fe80::1"},
      {"64:ff9b::cb00:7107", "64:ff9b::cb00:7107"},
  }));
  CAPTURE(text);
  CHECK(read(text) == want);
}

TEST_CASE("ip address: what is no address is none", "[base]") {
  const std::string text = GENERATE(values<std::string>({"",
                                                         " ",
                                                         "\"\"",
                                                         "unknown",
                                                         "_hidden",
                                                         "localhost",
                                                         "example.com",
                                                         "203.0.113",
                                                         "203.0.113.7.1",
                                                         "203.0.113.256",
                                                         "203.0.113.07",
                                                         "0x7f000001",
                                                         "3405803783",
                                                         "203.0.113.7/32",
                                                         "203.0.113.7:65536",
                                                         "203.0.113.7:http",
                                                         "203.0.113.7:-1",
                                                         "203.0.113.7:+1",
                                                         "203.0.113.7:1:2",
                                                         "203.0.113.7%eth0",
                                                         "[203.0.113.7",
                                                         "203.0.113.7]",
                                                         "[]",
                                                         "[]:80",
                                                         "[2001:db8::7]443",
                                                         "[2001:db8::7]:x",
                                                         "[2001:db8::7]:443:443",
                                                         "2001:db8::7::1",
                                                         "2001:db8",
                                                         "12345::",
                                                         "1:2:3:4:5:6:7:8:9",
                                                         "fe80::1%",
                                                         "\"203.0.113.7",
                                                         "203.0.113.7, 203.0.113.8",
                                                         "for=203.0.113.7",
                                                         "::ffff:203.0.113.256"}));
  CAPTURE(text);
  CHECK(read(text) == "none");
}

TEST_CASE("ip address: an IPv4 address is what inet_pton takes, and reads as inet_ntop writes",
          "[base]") {
  Random random(1);
  size_t good = 0;
  for (int i = 0; i < 200'000; ++i) {
    std::string text;
    const uint64_t parts = random.one_in(8) ? random.below(6) : 4;
    for (uint64_t part = 0; part < parts; ++part) {
      if (part > 0) text += random.one_in(50) ? "," : ".";
      if (random.one_in(30)) text += "0";
      if (!random.one_in(60)) text += std::to_string(random.below(random.one_in(20) ? 2'000 : 256));
    }
    std::array<uint8_t, 4> wanted{};
    const auto read = parse_ip_address(text);
    if ((::inet_pton(AF_INET, text.c_str(), wanted.data()) == 1) != read.has_value()) FAIL(text);
    if (!read) continue;
    ++good;
    char written[INET_ADDRSTRLEN] = "";
    ::inet_ntop(AF_INET, wanted.data(), written, sizeof written);
    if (!read->is_v4() || to_string(*read) != written) FAIL(text);
  }
  CHECK(good > 50'000);
}

TEST_CASE("ip address: a NUL or a very long text is no address", "[base]") {
  CHECK(read(std::string("203.0.113.7\0", 12)) == "none");
  CHECK(read(std::string("203.0.113.7\0.evil", 17)) == "none");
  CHECK(read(std::string(100'000, '1')) == "none");
}

TEST_CASE("ip address: a config's address has nothing around it", "[base]") {
  CHECK(parsed("203.0.113.7") == "203.0.113.7");
  CHECK(parsed("::ffff:203.0.113.7") == "203.0.113.7");
  CHECK(parsed("2001:DB8::7") == "2001:db8::7");
  CHECK(parsed("203.0.113.7:80") == "none");
  CHECK(parsed("[2001:db8::7]") == "none");
  CHECK(parsed(" 203.0.113.7") == "none");
}

TEST_CASE("ip address: the IPv4 address is taken out of a translated one", "[base]") {
  const auto [text, want] = GENERATE(table<std::string, std::string>({
      {"2002:c633:6407::1", "198.51.100.7"},
      {"64:ff9b::8.8.8.8", "8.8.8.8"},
      {"64:ff9b:1::8.8.8.8", "64:ff9b:1::808:808"},
      {"64:ff9b::1:808:808", "64:ff9b::1:808:808"},
      {"::ffff:8.8.8.8", "8.8.8.8"},
      {"2001:db8::1", "2001:db8::1"},
  }));
  CHECK(to_string(without_translation(*parse_ip_address(text))) == want);
}

TEST_CASE("ip address: reserved ranges are told to their last address", "[base]") {
  const auto [inside, outside] = GENERATE(table<std::string, std::string>({
      {"0.255.255.255", "1.0.0.0"},
      {"10.0.0.0", "9.255.255.255"},
      {"10.255.255.255", "11.0.0.0"},
      {"100.64.0.0", "100.63.255.255"},
      {"100.127.255.255", "100.128.0.0"},
      {"127.0.0.1", "126.255.255.255"},
      {"169.254.0.1", "169.253.255.255"},
      {"172.16.0.0", "172.15.255.255"},
      {"172.31.255.255", "172.32.0.0"},
      {"192.168.255.255", "192.169.0.0"},
      {"198.18.0.0", "198.17.255.255"},
      {"198.19.255.255", "198.20.0.0"},
      {"203.0.113.255", "203.0.114.0"},
      {"224.0.0.0", "223.255.255.255"},
      {"255.255.255.255", "8.8.8.8"},
      {"::1", "2600::1"},
      {"fe80::1", "2a00::1"},
      {"fc00::1", "3ffe::1"},
      {"1fff::1", "2000::1"},
      {"4000::", "3fff:1000::"},
      {"3fff:fff::", "3fff:1000::1"},
      {"2001:1ff:ffff::", "2001:200::"},
      {"2001:db8:ffff::", "2001:db9::"},
      {"2002:808:808::1", "2003::1"},
  }));
  CAPTURE(inside, outside);
  CHECK_FALSE(is_global(*parse_ip_address(inside)));
  CHECK(is_global(*parse_ip_address(outside)));
}

}  // namespace clickmill
