#include "http/proxy_protocol.h"

#include <catch2/catch.hpp>
#include <string>

namespace clickmill::http {
namespace {

using Outcome = ProxyHeader::Outcome;

const std::string kSignature("\r\n\r\n\0\r\nQUIT\n", 12);

std::string binary(char command, char family, const std::string& rest) {
  const auto size = static_cast<uint16_t>(rest.size());
  return kSignature + command + family + static_cast<char>(size >> 8) +
         static_cast<char>(size & 0xff) + rest;
}

const std::string kV4("\xcb\x00\x71\x07\x0a\x00\x00\x01\xc8\x0c\x00\x50", 12);
const std::string kV6(
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07"
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\xc8\x0c\x00\x50",
    36);
// As `haproxy ... send-proxy-v2 proxy-v2-options crc32c` sends it.
const std::string kChecked("\x03\x00\x04", 3);

}  // namespace

TEST_CASE("PROXY protocol: both versions name the client, and the bytes behind stay", "[http]") {
  const auto [header, want] = GENERATE(table<std::string, std::string>({
      {"PROXY TCP4 203.0.113.7 10.0.0.1 51212 80\r\n", "203.0.113.7"},
      {"PROXY TCP6 2001:DB8:0::7 2001:db8::1 51212 65535\r\n", "2001:db8::7"},
      {"PROXY TCP6 ::ffff:203.0.113.7 ::1 0 0\r\n", "203.0.113.7"},
      {"PROXY UNKNOWN\r\n", ""},
      {"PROXY UNKNOWN ffff::1 whatever it says\r\n", ""},
      {binary('\x21', '\x11', kV4), "203.0.113.7"},
      {binary('\x21', '\x12', kV4), "203.0.113.7"},
      {binary('\x21', '\x21', kV6), "2001:db8::7"},
      {binary('\x21', '\x11', kV4 + std::string("\x04\x00\x02xx\xee\x00\x00", 8)), "203.0.113.7"},
      {binary('\x20', '\x00', ""), ""},
      {binary('\x20', '\x11', kV4), ""},
      {binary('\x21', '\x00', "anything"), ""},
      {binary('\x21', '\x31', std::string(216, 'x')), ""},
  }));
  CAPTURE(header);
  const std::string bytes = header + "GET / HTTP/1.1\r\n";
  for (size_t size = 0; size < header.size(); ++size)
    CHECK(read_proxy_header(bytes.substr(0, size)).outcome == Outcome::need_more);
  const auto read = read_proxy_header(bytes);
  CHECK(read.outcome == Outcome::complete);
  CHECK(read.used == header.size());
  CHECK(read.source_ip == want);
}

TEST_CASE("PROXY protocol: what is no header is told as such", "[http]") {
  const auto [bytes, want] = GENERATE(table<std::string, std::string>({
      {"GET / HTTP/1.1\r\n", "does not begin with one"},
      {"PROXX", "does not begin with one"},
      {"PROXY " + std::string(101, '1'), "within 107 bytes"},
      {"PROXY UDP4 1.1.1.1 1.1.1.1 1 1\r\n", "family"},
      {"PROXY\r\n", "does not begin with one"},
      {"PROXY TCP4 \r\n", "no two addresses"},
      {"PROXY TCP4 1.1.1.1 1.1.1 1 1\r\n", "no two addresses"},
      {"PROXY TCP4 1.1.1.1 1.1.1.1 1 65536\r\n", "no two ports"},
      {"PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n", "no two ports"},
      {"PROXY TCP4 1.1.1.1 1.1.1.1 1 1 1\r\n", "no two ports"},
      {binary('\x31', '\x11', kV4), "version"},
      {binary('\x22', '\x11', kV4), "command"},
      {binary('\x21', '\x11', kV4.substr(1)), "cut off"},
      {binary('\x21', '\x21', kV4), "cut off"},
      {binary('\x21', '\x11', kV4 + std::string("\x04\x00", 2)), "cut off"},
      {binary('\x21', '\x11', kV4 + std::string("\x04\x00\x02x", 4)), "longer than the header"},
      {binary('\x21', '\x11', kV4 + kChecked + "abcd"), "checksum"},
      {binary('\x21', '\x11', kV4 + std::string("\x03\x00\x01x", 4)), "checksum"},
  }));
  CAPTURE(bytes);
  const auto read = read_proxy_header(bytes);
  CHECK(read.outcome == Outcome::failed);
  CHECK_THAT(read.fault, Catch::Contains(want));
}

TEST_CASE("PROXY protocol: a checksum that holds is taken, and one flipped bit is not", "[http]") {
  std::string bytes = binary('\x21', '\x11', kV4 + kChecked + std::string(4, '\0'));
  // CRC-32C of the 35 bytes with zeros in its place, by another implementation.
  const uint32_t crc = 0xfa133488;
  for (size_t i = 0; i < 4; ++i)
    bytes[bytes.size() - 4 + i] = static_cast<char>(crc >> (24 - 8 * i) & 0xff);
  CHECK(read_proxy_header(bytes).source_ip == "203.0.113.7");
  for (size_t at = 16; at < bytes.size(); ++at) {
    if (at == 28) continue;  // the extension's type: it is another one then
    std::string flipped = bytes;
    flipped[at] = static_cast<char>(flipped[at] ^ 1);
    CAPTURE(at);
    CHECK(read_proxy_header(flipped).outcome == Outcome::failed);
  }
}

}  // namespace clickmill::http
