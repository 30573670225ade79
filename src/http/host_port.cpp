#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

#include "base/text.h"
#include "http/server.h"

namespace clickmill::http {
namespace {

Error bad(std::string_view text, std::string_view rule) {
  return Error(Errc::invalid, "address \"" + std::string(text) + "\": " + std::string(rule));
}

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '-' || c == '_';
}

bool is_v6(const std::string& host) {
  in6_addr address{};
  return ::inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

bool loopback(const std::string& host) {
  in_addr v4{};
  if (::inet_pton(AF_INET, host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6{};
  if (::inet_pton(AF_INET6, host.c_str(), &v6) == 1) {
    return IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
  }
  return same_without_case(host, "localhost");
}

}  // namespace

Result<HostPort> parse_host_port(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return bad(text, "expected host:port");
  HostPort out;
  std::string_view host = text.substr(0, colon);
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  out.host = host;
  if (host.empty()) return bad(text, "the host is missing (0.0.0.0 or [::] mean every interface)");
  if (bracketed && !is_v6(out.host)) return bad(text, "no IPv6 address between the brackets");
  if (!bracketed && host.find(':') != std::string_view::npos) {
    return bad(text, "an IPv6 address stands in brackets, as in [::1]:8080");
  }
  if (!bracketed && !std::all_of(host.begin(), host.end(), is_name_character)) {
    return bad(text, "the host has a character that no host name has");
  }
  const std::string_view port = text.substr(colon + 1);
  const auto [end, failure] = std::from_chars(port.data(), port.data() + port.size(), out.port);
  if (failure != std::errc{} || end != port.data() + port.size()) {
    return bad(text, "the port is not a number from 0 to 65535");
  }
  out.is_loopback = loopback(out.host);
  return out;
}

}  // namespace clickmill::http
