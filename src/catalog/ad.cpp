#include "catalog/ad.h"

#include <algorithm>

#include "base/text.h"
#include "click/flat_json.h"
#include "click/parse.h"

namespace clickmill::catalog {
namespace {

using click::FlatValue;
using click::shown;

constexpr size_t kFormatCharsMax = 32;
constexpr size_t kUrlBytesMax = 2048;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

bool valid_format(std::string_view text) {
  return !text.empty() && text.size() <= kFormatCharsMax &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || is_digit(c) || c == '_' || c == '-';
         });
}

/// What follows "http://" or "https://", whose case doesn't matter; empty for another scheme.
std::string_view after_scheme(std::string_view url) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (starts_without_case(url, scheme)) return url.substr(scheme.size());
  }
  return {};
}

bool valid_port(std::string_view port) {
  return port.size() <= 5 && std::all_of(port.begin(), port.end(), is_digit) &&
         (port.empty() || std::stoul(std::string(port)) <= 65535);
}

bool valid_host_and_port(std::string_view text) {
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    if (end == std::string_view::npos || end < 3) return false;
    const std::string_view address = text.substr(1, end - 1);
    const bool plausible = std::all_of(address.begin(), address.end(), [](char c) {
      return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == ':' ||
             c == '.';
    });
    const std::string_view rest = text.substr(end + 1);
    return plausible && (rest.empty() || (rest.front() == ':' && valid_port(rest.substr(1))));
  }
  const std::string_view host = text.substr(0, text.find(':'));
  if (host.empty()) return false;
  if (host.size() < text.size() && !valid_port(text.substr(host.size() + 1))) return false;
  return std::all_of(host.begin(), host.end(), [](char c) {
    return is_letter(c) || is_digit(c) || c == '.' || c == '-' || c == '_' || c == '~' || c == '%';
  });
}

/// The rule the URL breaks, or null. It goes into a Location header as it is, so
/// nothing that could end the header or hide the host may pass.
const char* url_complaint(std::string_view url) {
  if (url.size() > kUrlBytesMax) return "it is longer than 2048 bytes";
  if (!std::all_of(url.begin(), url.end(), [](char c) { return c >= 0x21 && c <= 0x7e; })) {
    return "it must be visible ASCII without spaces";
  }
  const std::string_view rest = after_scheme(url);
  if (rest.empty()) return "it must be an absolute http:// or https:// URL";
  std::string_view authority = rest.substr(0, rest.find_first_of("/?#"));
  if (const size_t at = authority.rfind('@'); at != std::string_view::npos) {
    authority.remove_prefix(at + 1);
  }
  return valid_host_and_port(authority) ? nullptr : "it has no valid host";
}

AdError wrong(std::string field, std::string detail) {
  return {std::move(field), std::move(detail)};
}

}  // namespace

std::optional<AdError> check_ad(const Ad& ad) {
  const std::string id_rule = " is not 1 to 64 characters of A-Z a-z 0-9 . _ : -";
  if (!click::valid_ad_id(ad.ad_id)) return wrong("ad_id", shown(ad.ad_id) + id_rule);
  if (!click::valid_ad_id(ad.advertiser_id)) {
    return wrong("advertiser_id", shown(ad.advertiser_id) + id_rule);
  }
  if (!valid_format(ad.ad_format)) {
    return wrong("ad_format", shown(ad.ad_format) + " is not 1 to 32 characters of a-z 0-9 _ -");
  }
  if (const char* complaint = url_complaint(ad.redirect_url)) {
    return wrong("redirect_url", shown(ad.redirect_url) + ": " + complaint);
  }
  return std::nullopt;
}

std::optional<AdError> parse_ad(std::string_view json, std::string_view path_ad_id, Ad& out) {
  struct Member {
    std::string_view name;
    std::string Ad::*field;
    FlatValue value;
  };
  Member members[] = {{"ad_id", &Ad::ad_id, {}},
                      {"advertiser_id", &Ad::advertiser_id, {}},
                      {"ad_format", &Ad::ad_format, {}},
                      {"redirect_url", &Ad::redirect_url, {}}};
  const auto broken = click::read_flat_json(json, [&](std::string_view name, FlatValue&& value) {
    for (auto& member : members) {
      if (member.name == name) member.value = std::move(value);
    }
  });
  if (broken) return wrong("", broken->detail);
  out = {};
  for (auto& [name, field, value] : members) {
    const bool absent =
        value.kind == FlatValue::Kind::absent || value.kind == FlatValue::Kind::null;
    if (absent && field == &Ad::ad_id && !path_ad_id.empty()) {
      out.ad_id = path_ad_id;
      continue;
    }
    if (absent) return wrong(std::string(name), "it is required");
    if (value.kind != FlatValue::Kind::string) return wrong(std::string(name), "it is no string");
    out.*field = std::move(value.text);
  }
  if (!path_ad_id.empty() && out.ad_id != path_ad_id) {
    return wrong("ad_id", shown(out.ad_id) + " is not the path's " + shown(path_ad_id));
  }
  return check_ad(out);
}

std::string ad_to_json(const Ad& ad) {
  return "{\"ad_id\":" + json_quoted(ad.ad_id) +
         ",\"advertiser_id\":" + json_quoted(ad.advertiser_id) +
         ",\"ad_format\":" + json_quoted(ad.ad_format) +
         ",\"redirect_url\":" + json_quoted(ad.redirect_url) + "}";
}

}  // namespace clickmill::catalog
