#include "http/proxy_protocol.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/ip_address.h"

// Version 1, a line of at most 107 bytes that ends with CR LF:
//   PROXY TCP4|TCP6 <source> <destination> <source port> <destination port>
//   PROXY UNKNOWN <anything>
// Version 2:
//   0   12  signature
//   12   1  version (2) and command: 0 the balancer's own connection, 1 a client's
//   13   1  family and transport: 0x1_ IPv4, 0x2_ IPv6, others have no address for us
//   14   2  bytes that follow, big-endian
//   16      source, destination, their ports; then type, length and value of extensions,
//           of which 0x03 is the CRC-32C of the header with that value as zeros

namespace clickmill::http {
namespace {

using Outcome = ProxyHeader::Outcome;

constexpr std::string_view kWord = "PROXY ";
constexpr size_t kLineMost = 107;
constexpr std::string_view kSignature("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr size_t kFixedBytes = 16;
constexpr uint8_t kChecksum = 0x03;

ProxyHeader failed(std::string fault) { return {Outcome::failed, 0, {}, std::move(fault)}; }

bool begins_like(std::string_view bytes, std::string_view whole) {
  const size_t size = std::min(bytes.size(), whole.size());
  return bytes.substr(0, size) == whole.substr(0, size);
}

bool is_port(std::string_view text) {
  uint32_t port = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), port);
  return failure == std::errc{} && end == text.data() + text.size() && port <= 65'535;
}

std::string_view cut_word(std::string_view& line) {
  const size_t end = std::min(line.find(' '), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return word;
}

ProxyHeader read_line(std::string_view bytes) {
  const size_t end = bytes.substr(0, kLineMost).find("\r\n");
  if (end == std::string_view::npos) {
    if (bytes.size() < kLineMost) return {};
    return failed("its line does not end within 107 bytes");
  }
  ProxyHeader header{Outcome::complete, end + 2, {}, {}};
  std::string_view line = bytes.substr(kWord.size(), end - kWord.size());
  const std::string_view family = cut_word(line);
  if (family == "UNKNOWN") return header;
  if (family != "TCP4" && family != "TCP6") return failed("its family is none of TCP4, TCP6");
  const auto source = parse_ip_address(cut_word(line));
  const auto destination = parse_ip_address(cut_word(line));
  if (!source || !destination) return failed("it has no two addresses");
  const std::string_view port = cut_word(line);
  if (!is_port(port) || !is_port(line)) return failed("it has no two ports");
  header.source_ip = to_string(*source);
  return header;
}

size_t number_at(std::string_view bytes, size_t at) {
  return static_cast<size_t>(static_cast<uint8_t>(bytes[at])) << 8 |
         static_cast<uint8_t>(bytes[at + 1]);
}

/// Castagnoli's, as RFC 3720 has it. Bit by bit: a header is short, and few have one.
uint32_t crc32c(std::string_view bytes) {
  uint32_t crc = ~0U;
  for (const char byte : bytes) {
    crc ^= static_cast<uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1) != 0 ? 0x82f63b78U : 0);
  }
  return ~crc;
}

bool checksum_holds(std::string_view header, size_t at) {
  std::string zeroed(header);
  uint32_t stored = 0;
  for (size_t i = 0; i < 4; ++i) {
    stored = stored << 8 | static_cast<uint8_t>(header[at + i]);
    zeroed[at + i] = '\0';
  }
  return stored == crc32c(zeroed);
}

/// Empty: they are well-formed, and the checksum, if there is one, holds.
std::string fault_of_extensions(std::string_view header, size_t at) {
  while (at < header.size()) {
    if (header.size() - at < 3) return "an extension is cut off";
    const auto type = static_cast<uint8_t>(header[at]);
    const size_t size = number_at(header, at + 1);
    at += 3;
    if (size > header.size() - at) return "an extension is longer than the header";
    if (type == kChecksum && (size != 4 || !checksum_holds(header, at)))
      return "its checksum does not hold";
    at += size;
  }
  return {};
}

ProxyHeader read_binary(std::string_view bytes) {
  if (bytes.size() < kFixedBytes) return {};
  const auto command = static_cast<uint8_t>(bytes[12]);
  const auto family = static_cast<uint8_t>(bytes[13]);
  const size_t rest = number_at(bytes, 14);
  if (command >> 4 != 2) return failed("its version is not 2");
  if ((command & 15) > 1) return failed("its command is neither LOCAL nor PROXY");
  if (bytes.size() < kFixedBytes + rest) return {};
  const std::string_view header = bytes.substr(0, kFixedBytes + rest);
  ProxyHeader out{Outcome::complete, header.size(), {}, {}};
  const size_t address = family >> 4 == 1 ? 4 : family >> 4 == 2 ? 16 : 0;
  if ((command & 15) == 0 || address == 0) return out;
  const size_t addresses = 2 * address + 4;
  if (rest < addresses) return failed("its addresses are cut off");
  if (auto fault = fault_of_extensions(header, kFixedBytes + addresses); !fault.empty())
    return failed(std::move(fault));
  IpAddress source;
  source.bytes[10] = source.bytes[11] = 0xff;
  std::transform(header.begin() + kFixedBytes,
                 header.begin() + static_cast<std::ptrdiff_t>(kFixedBytes + address),
                 source.bytes.end() - static_cast<std::ptrdiff_t>(address),
                 [](char byte) { return static_cast<uint8_t>(byte); });
  out.source_ip = to_string(source);
  return out;
}

}  // namespace

ProxyHeader read_proxy_header(std::string_view bytes) {
  if (begins_like(bytes, kWord))
    return bytes.size() < kWord.size() ? ProxyHeader() : read_line(bytes);
  if (!begins_like(bytes, kSignature)) return failed("the connection does not begin with one");
  return bytes.size() < kSignature.size() ? ProxyHeader() : read_binary(bytes);
}

}  // namespace clickmill::http
