#include "collector/proxy_headers.h"

#include <algorithm>

#include "base/logging.h"
#include "base/text.h"

namespace clickmill::collector {
namespace {

/// Cuts off what stands before the first `separator` outside of quotes.
std::string_view cut(std::string_view& text, char separator) {
  bool quoted = false;
  size_t at = 0;
  for (; at < text.size() && (quoted || text[at] != separator); ++at) {
    if (text[at] == '"') quoted = !quoted;
    if (quoted && text[at] == '\\') ++at;
  }
  at = std::min(at, text.size());
  const std::string_view part = text.substr(0, at);
  text.remove_prefix(std::min(at + 1, text.size()));
  return part;
}

std::string_view without_blanks(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::string_view for_of(std::string_view element) {
  while (!element.empty()) {
    const std::string_view pair = without_blanks(cut(element, ';'));
    const size_t equals = pair.find('=');
    if (equals == std::string_view::npos) continue;
    if (same_without_case(without_blanks(pair.substr(0, equals)), "for"))
      return without_blanks(pair.substr(equals + 1));
  }
  return {};
}

/// A code of two letters or digits that is no country (XX, T1, EU) is an answer too.
bool looks_like_country(std::string_view text) {
  return text.size() == 2 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
         });
}

/// Of what several proxies added a line to, the last is the nearest's own.
std::string_view last_item(const http::Request& request, const std::string& header) {
  const auto items = http::header_items(request, header);
  return items.empty() ? std::string_view() : items.back();
}

}  // namespace

std::vector<std::string_view> forwarded_for(const http::Request& request) {
  std::vector<std::string_view> addresses;
  for (std::string_view line : request.header_lines("forwarded")) {
    while (!line.empty()) {
      const std::string_view element = without_blanks(cut(line, ','));
      if (!element.empty()) addresses.push_back(for_of(element));
    }
  }
  return addresses;
}

std::unique_ptr<ProxyHeaders::Header> ProxyHeaders::make(std::string name, Metrics& metrics) {
  if (name.empty()) return nullptr;
  auto& unreadable = metrics.counter("clickmill_collector_unreadable_headers_total",
                                     "Values of trusted proxies' headers that can't be read.",
                                     "header=\"" + name + "\"");
  return std::unique_ptr<Header>(new Header{std::move(name), unreadable});
}

ProxyHeaders::ProxyHeaders(Options options, Metrics& metrics)
    : proxies_(options.trusted_proxies),
      forwarded_for_(
          make(options.client_ip_header == "x-forwarded-for" ? "" : "x-forwarded-for", metrics)),
      client_ip_(make(options.client_ip_header, metrics)),
      country_(make(options.country_header, metrics)),
      click_id_(make(options.click_id_header, metrics)) {}

ProxyHeaders::Told ProxyHeaders::read(const http::Request& request) const {
  Told told;
  if (!proxies_.trusts(request.peer_ip)) {
    told.ip = proxies_.client_of(request.peer_ip, {}).ip;
    return told;
  }
  told.ip = client_ip(request);
  if (country_) {
    const std::string_view country = last_item(request, country_->name);
    told.country = click::known_country(country);
    if (!country.empty() && !looks_like_country(country)) complain(*country_, request, country);
  }
  if (click_id_) {
    const std::string_view id = last_item(request, click_id_->name);
    if (click::valid_click_id(id)) {
      told.click_id = id;
    } else if (!id.empty()) {
      complain(*click_id_, request, id);
    }
  }
  return told;
}

std::pair<ProxyHeaders::Header*, ProxyHeaders::Items> ProxyHeaders::hops_of(
    const http::Request& request) const {
  if (client_ip_) {
    auto hops = client_ip_->name == "forwarded" ? forwarded_for(request)
                                                : http::header_items(request, client_ip_->name);
    if (!hops.empty()) return {client_ip_.get(), std::move(hops)};
  }
  if (!forwarded_for_) return {};
  return {forwarded_for_.get(), http::header_items(request, forwarded_for_->name)};
}

std::string ProxyHeaders::client_ip(const http::Request& request) const {
  const auto [header, hops] = hops_of(request);
  auto client = proxies_.client_of(request.peer_ip, hops);
  if (client.unreadable) complain(*header, request, *client.unreadable);
  return std::move(client.ip);
}

std::string ProxyHeaders::known_client(const http::Request& request) const {
  if (!proxies_.trusts(request.peer_ip)) return proxies_.client_of(request.peer_ip, {}).ip;
  auto client = proxies_.client_of(request.peer_ip, hops_of(request).second);
  return proxies_.trusts(client.ip) ? std::string() : std::move(client.ip);
}

void ProxyHeaders::complain(Header& header, const http::Request& request,
                            std::string_view value) const {
  header.unreadable.add();
  if (header.said.exchange(true)) return;
  log_warn("collector", header.name + " of the trusted proxy " + std::string(request.peer_ip) +
                            " can't be read: " + shown(value) +
                            "; it counts as absent, and more of them are only counted");
}

}  // namespace clickmill::collector
