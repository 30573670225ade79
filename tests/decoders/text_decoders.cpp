#include <algorithm>
#include <vector>

#include "base/assert.h"
#include "base/ip_address.h"
#include "base/text.h"
#include "catalog/ad.h"
#include "click/json.h"
#include "click/parse.h"
#include "click/sample_clicks.h"
#include "collector/proxy_headers.h"
#include "decoders/decoders.h"
#include "engine/config_reader.h"
#include "http/multipart.h"
#include "http/proxy_protocol.h"
#include "http/request_parser.h"
#include "simulation/quiet_log.h"

namespace clickmill::decoders {
namespace {

// Clicks as JSON.

std::string click_json_example(Random& random) {
  click::SampleClicks samples(random.next());
  std::string line = "{";
  click::append_json(samples.next(), line);
  return line + "}";
}

void check_click_json(std::string_view bytes) {
  for (const bool connection_fields : {false, true}) {
    click::ParsedClick parsed;
    if (click::parse_json(bytes, connection_fields, parsed)) continue;
    CM_ASSERT(click::valid_ad_id(parsed.ad_id));
    CM_ASSERT(!parsed.click_id || click::valid_click_id(*parsed.click_id));
    CM_ASSERT(valid_utf8(parsed.user_id) && parsed.user_id.size() <= 256);
    click::ClickView view;
    view.ad_id = parsed.ad_id;
    view.click_id = parsed.click_id ? std::string_view(*parsed.click_id) : "x";
    view.timestamp_ms = EventMs(parsed.timestamp_ms.value_or(0));
    view.device = parsed.device.value_or(click::Device::other);
    view.country = parsed.country.value_or(click::kUnknownCountry);
    view.user_id = parsed.user_id;
    // What was accepted can be printed and read again, with the same result.
    std::string line = "{";
    click::append_json(view, line);
    click::ParsedClick again;
    CM_ASSERT(!click::parse_json(line + "}", false, again));
    CM_ASSERT(again.ad_id == view.ad_id && again.click_id == view.click_id &&
              again.timestamp_ms == view.timestamp_ms.value() && again.user_id == view.user_id &&
              again.device == view.device &&
              again.country.value_or(click::kUnknownCountry) == view.country);
  }
}

// HTTP requests.

std::string http_example(Random& random) {
  static const std::vector<std::string> kRequests = {
      "GET /v1/click?ad_id=a&click_id=c HTTP/1.1\r\nHost: h\r\nReferer: https://a.example/\r\n\r\n",
      "POST /v1/click HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n{\"ad_id\":1}",
      "POST /bulk HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
      "chunked\r\n\r\n3;x=y\r\nabc\r\n1\r\nd\r\n0\r\nA: b\r\n\r\n",
      "OPTIONS * HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
      "PUT http://h/v1/ads/1?x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: "
      "0\r\n\r\n"};
  std::string out;
  for (uint64_t i = 0; i < 1 + random.below(3); ++i)
    out += kRequests[random.below(kRequests.size())];
  return out;
}

struct Parsed {
  std::vector<std::string> requests;
  bool failed = false;
};

Parsed parse_requests(std::string_view bytes, size_t step) {
  static const http::BodyLimits kLimits{100, {"/bulk"}, 1000};
  Parsed out;
  http::RequestParser parser(kLimits, "192.0.2.1");
  std::string buffer;
  for (size_t at = 0; at < bytes.size(); at += step) {
    buffer += bytes.substr(at, step);
    while (true) {
      size_t used = 0;
      const auto outcome = parser.parse(buffer, used);
      CM_ASSERT(used <= buffer.size());
      buffer.erase(0, used);
      if (outcome == http::RequestParser::Outcome::need_more) break;
      if (outcome == http::RequestParser::Outcome::failed) {
        CM_ASSERT(parser.failure().status >= 400 && parser.failure().status < 600);
        out.failed = true;
        return out;
      }
      const http::RequestPtr request = parser.request();
      CM_ASSERT(request->body.size() <= 1000);
      out.requests.push_back(std::string(request->path) + "?" + std::string(request->query) + " " +
                             std::string(request->body));
      parser.next();
    }
  }
  return out;
}

void check_http(std::string_view bytes) {
  // Where the network cuts a stream must not change what is in it. Only that a request
  // can't be right may show later in pieces, or not at all when its end is missing.
  const Parsed whole = parse_requests(bytes, std::max<size_t>(1, bytes.size()));
  for (const size_t step : {size_t{1}, size_t{7}}) {
    const Parsed pieces = parse_requests(bytes, step);
    CM_ASSERT(pieces.requests == whole.requests);
    CM_ASSERT(whole.failed || !pieces.failed);
  }
}

// PROXY headers.

std::string proxy_header_example(Random& random) {
  const std::string signature("\r\n\r\n\0\r\nQUIT\n", 12);
  const std::vector<std::string> examples = {
      "PROXY TCP4 203.0.113.7 10.0.0.1 51212 80\r\nGET / HTTP/1.1\r\n",
      "PROXY TCP6 2001:db8::7 2001:db8::1 51212 80\r\n", "PROXY UNKNOWN\r\n",
      signature + std::string("\x21\x11\0\x11\xcb\0\x71\x08\x0a\0\0\x01\xc8\x0c\0\x50"
                              "\x04\0\x02xx",
                              21),
      signature + std::string("\x20\0\0\0", 4)};
  return examples[random.below(examples.size())];
}

void check_proxy_header(std::string_view bytes) {
  using Outcome = http::ProxyHeader::Outcome;
  const auto whole = http::read_proxy_header(bytes);
  CM_ASSERT((whole.outcome == Outcome::failed) == !whole.fault.empty());
  if (whole.outcome == Outcome::complete) {
    CM_ASSERT(whole.used <= bytes.size());
    CM_ASSERT(whole.source_ip.empty() || parse_ip_address(whole.source_ip));
  }
  // However the network cuts it, the same comes out, and never before all of it is there.
  for (size_t size = 0; size < bytes.size(); ++size) {
    const auto part = http::read_proxy_header(bytes.substr(0, size));
    if (part.outcome == Outcome::need_more) continue;
    CM_ASSERT(part.outcome == whole.outcome);
    CM_ASSERT(part.used == whole.used && part.source_ip == whole.source_ip);
    break;
  }
}

// What proxies tell in headers; the lines are those of Forwarded and X-Forwarded-For.

/// A request of these headers alone.
class Told final : public http::Request {
 public:
  explicit Told(std::string_view lines) {
    peer_ip = "10.0.0.1";
    for (size_t at = 0; at <= lines.size(); at = lines.find('\n', at) + 1) {
      const size_t end = lines.find('\n', at);
      lines_.push_back(lines.substr(at, end == std::string_view::npos ? end : end - at));
      if (end == std::string_view::npos) break;
    }
  }
  std::string_view header(std::string_view) const override { return lines_.front(); }
  std::vector<std::string_view> header_lines(std::string_view) const override { return lines_; }

 private:
  std::vector<std::string_view> lines_;
};

std::string told_example(Random& random) {
  static const std::vector<std::string> kLines = {
      "203.0.113.7, 10.0.0.2",
      "[2001:db8::7]:443,10.0.0.2:80",
      "for=\"[2001:db8::7]:47011\";proto=https;by=_hidden, for=10.0.0.2",
      "for=192.0.2.43;host=\"a\\\"b\"",
      "unknown, \"203.0.113.7\"",
      "US",
      " , ,"};
  std::string out = kLines[random.below(kLines.size())];
  for (uint64_t left = random.below(3); left > 0; --left)
    out += '\n' + kLines[random.below(kLines.size())];
  return out;
}

void check_told(std::string_view bytes) {
  const simulation::QuietLog quiet;
  const Told request(bytes);
  for (const char* header : {"", "forwarded", "x-real-ip"}) {
    Metrics metrics;
    const collector::ProxyHeaders headers({{"10.0.0.0/8"}, header, "x-country", "x-request-id"},
                                          metrics);
    const auto told = headers.read(request);
    CM_ASSERT(told.ip.empty() || parse_ip_address(told.ip));
    CM_ASSERT(told.click_id.empty() || click::valid_click_id(told.click_id));
    const std::string known = headers.known_client(request);
    CM_ASSERT(known.empty() || known == told.ip);
  }
}

// Forms: the first line is the Content-Type of a multipart body, or empty for a query.

std::string form_example(Random& random) {
  if (random.one_in(2)) return "\nad_id=a%20b&click_id=c+d&country=DE&timestamp_ms=1782295200000&x";
  return "multipart/form-data; boundary=\"b\"\n--b\r\nContent-Disposition: form-data; "
         "name=\"ad_id\"\r\n\r\nad_1\r\n--b\r\nContent-Disposition: form-data; name=\"f\"; "
         "filename=\"x\"\r\n\r\nfile\r\n--b--\r\n";
}

void check_form(std::string_view bytes) {
  const size_t line = std::min(bytes.find('\n'), bytes.size());
  const std::string_view type = bytes.substr(0, line);
  const std::string_view body = bytes.substr(std::min(line + 1, bytes.size()));
  QueryParams params = parse_query(body);
  if (!type.empty()) {
    auto fields = http::parse_multipart(type, body);
    if (!fields) return;
    params = *std::move(fields);
  }
  click::ParsedClick parsed;
  if (click::parse_params(params, parsed)) return;
  CM_ASSERT(click::valid_ad_id(parsed.ad_id));
  CM_ASSERT(!parsed.click_id || click::valid_click_id(*parsed.click_id));
  CM_ASSERT(valid_utf8(parsed.user_id) && parsed.user_id.size() <= 256);
}

// Ads, and the config.

std::string ad_example(Random& random) {
  catalog::Ad ad{"ad_" + std::to_string(random.below(100)), "adv_1", "banner",
                 "https://example.com/?q=1"};
  return catalog::ad_to_json(ad);
}

void check_ad(std::string_view bytes) {
  catalog::Ad ad;
  if (catalog::parse_ad(bytes, {}, ad)) return;
  CM_ASSERT(!catalog::check_ad(ad));
  catalog::Ad again;
  CM_ASSERT(!catalog::parse_ad(catalog::ad_to_json(ad), {}, again) && again == ad);
}

std::string config_example(Random& random) {
  return random.one_in(2)
             ? R"({"log": {"partitions": 3, "x": 1}, "node_id": "n1", // yes
                   "list": ["a", "b"], "sinks": [{"type": "kafka"}, {"type": 3}]})"
             : R"({"log": {"partitions": -3}, "node_id": 5, "list": [1], "sinks": {}, "": null})";
}

void check_config(std::string_view bytes) {
  auto in = engine::ConfigReader::parse(bytes);
  if (!in) {
    CM_ASSERT(in.error().code() == Errc::invalid);
    return;
  }
  std::string text;
  std::vector<std::string> texts;
  uint32_t number = 0;
  in->text("node_id", text);
  in->texts("list", texts);
  if (in->number("log.partitions", number, 1, 64)) CM_ASSERT(number >= 1 && number <= 64);
  const size_t sinks = in->objects("sinks");
  for (size_t i = 0; i < std::min<size_t>(sinks, 3); ++i)
    in->text("sinks[" + std::to_string(i) + "].type", text);
  for (const std::string& problem : std::move(*in).finish()) CM_ASSERT(!problem.empty());
}

}  // namespace

const Decoder kToldByProxies{"told by proxies", told_example, check_told};
const Decoder kForm{"form", form_example, check_form};
const Decoder kAd{"ad", ad_example, check_ad};
const Decoder kConfig{"config", config_example, check_config};
const Decoder kProxyHeader{"PROXY header", proxy_header_example, check_proxy_header};
const Decoder kClickJson{"click JSON", click_json_example, check_click_json};
const Decoder kHttpRequest{"HTTP request", http_example, check_http};

}  // namespace clickmill::decoders
