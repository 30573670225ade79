#include <algorithm>

#include "http/client.h"
#include "http/server.h"

namespace clickmill::http {
namespace {

Error bad(std::string_view text, std::string_view rule) {
  return Error(Errc::invalid, "URL \"" + std::string(text) + "\": " + std::string(rule));
}

bool cut_scheme(std::string_view& rest, Url& out) {
  for (const bool tls : {false, true}) {
    const std::string_view scheme = tls ? "https://" : "http://";
    if (!rest.starts_with(scheme)) continue;
    rest.remove_prefix(scheme.size());
    out.tls = tls;
    return true;
  }
  return false;
}

/// Whether the authority ends in a port, given that the colons in brackets are no such sign.
bool has_port(std::string_view authority) {
  const size_t bracket = authority.rfind(']');
  return authority.find(':', bracket == std::string_view::npos ? 0 : bracket) !=
         std::string_view::npos;
}

}  // namespace

Result<Url> parse_url(std::string_view text) {
  Url out;
  std::string_view rest = text;
  if (!cut_scheme(rest, out)) return bad(text, "expected http:// or https://");
  const bool visible =
      std::all_of(rest.begin(), rest.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  if (!visible) return bad(text, "a character that is no visible ASCII");
  if (rest.find_first_of("?#") != std::string_view::npos)
    return bad(text, "a query or a fragment has no place in it");
  const size_t slash = rest.find('/');
  std::string authority(rest.substr(0, slash));
  if (authority.find('@') != std::string::npos) return bad(text, "a user name has no place in it");
  if (!has_port(authority)) authority += out.tls ? ":443" : ":80";
  auto address = parse_host_port(authority);
  if (!address) return bad(text, address.error().message());
  if (address->port == 0) return bad(text, "port 0 can't be asked");
  out.host = std::move(address->host);
  out.port = address->port;
  if (slash != std::string_view::npos) out.path = rest.substr(slash);
  while (out.path.ends_with('/')) out.path.pop_back();
  return out;
}

}  // namespace clickmill::http
