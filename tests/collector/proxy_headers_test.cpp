#include "collector/proxy_headers.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "http/sent_request.h"

namespace clickmill::collector {
namespace {

using http::SentRequest;
using Headers = SentRequest::Headers;

/// From the trusted peer 192.0.2.7.
SentRequest with(Headers headers) { return SentRequest(http::Method::get, {}, std::move(headers)); }

struct Fixture {
  explicit Fixture(const std::string& client_ip_header)
      : headers({{"192.0.2.7", "10.0.0.0/8"}, client_ip_header, "cf-ipcountry", "x-request-id"},
                metrics) {}
  bool has_metric(const std::string& line) const {
    return metrics.render().find(line + "\n") != std::string::npos;
  }
  Metrics metrics;
  ProxyHeaders headers;
};

}  // namespace

TEST_CASE("proxy headers: each spelling of the client's address is read", "[collector]") {
  const auto [name, headers, want] = GENERATE(table<std::string, Headers, std::string>({
      {"", {{"x-forwarded-for", "203.0.113.7"}}, "203.0.113.7"},
      {"x-forwarded-for", {{"x-forwarded-for", "203.0.113.7, 10.0.0.1"}}, "203.0.113.7"},
      {"x-real-ip", {{"x-real-ip", "203.0.113.7"}}, "203.0.113.7"},
      {"x-real-ip", {{"x-real-ip", "2001:DB8::7"}, {"x-forwarded-for", "1.1.1.1"}}, "2001:db8::7"},
      {"x-real-ip", {{"x-forwarded-for", "203.0.113.7"}}, "203.0.113.7"},
      {"cf-connecting-ip", {{"cf-connecting-ip", "203.0.113.7"}}, "203.0.113.7"},
      {"true-client-ip", {{"true-client-ip", "203.0.113.7"}}, "203.0.113.7"},
      {"x-real-ip", {}, "192.0.2.7"},
      {"forwarded", {{"forwarded", "for=203.0.113.7"}}, "203.0.113.7"},
      {"forwarded", {{"forwarded", "For=\"[2001:db8:cafe::17]:4711\""}}, "2001:db8:cafe::17"},
      {"forwarded", {{"forwarded", "proto=http ; for=203.0.113.7;by=10.0.0.1"}}, "203.0.113.7"},
      {"forwarded", {{"forwarded", "for=1.1.1.1, for=203.0.113.7, for=10.0.0.2"}}, "203.0.113.7"},
      {"forwarded",
       {{"forwarded", "for=1.1.1.1"}, {"forwarded", "for=203.0.113.7"}},
       "203.0.113.7"},
      {"forwarded", {{"forwarded", R"(host="a,for=9.9.9.9";for=203.0.113.7)"}}, "203.0.113.7"},
      {"forwarded", {{"forwarded", R"(host="a\",for=9.9.9.9";for=203.0.113.7)"}}, "203.0.113.7"},
      // Who stood behind it nobody knows.
      {"forwarded", {{"forwarded", "for=203.0.113.7, for=_gateway"}}, "192.0.2.7"},
      {"forwarded", {{"forwarded", "for=203.0.113.7, proto=http"}}, "192.0.2.7"},
      {"forwarded", {{"forwarded", "for=\"203.0.113.7"}}, "192.0.2.7"},
  }));
  CAPTURE(name, headers);
  const Fixture f(name);
  CHECK(f.headers.read(with(headers)).ip == want);
  // A proxy stands for many.
  CHECK(f.headers.known_client(with(headers)) == (want == "192.0.2.7" ? "" : want));
}

TEST_CASE("proxy headers: country and id are told, and nothing by a stranger", "[collector]") {
  Fixture f("x-real-ip");
  const Headers all = {
      {"x-real-ip", "203.0.113.7"}, {"cf-ipcountry", "de"}, {"x-request-id", "r-1"}};
  const SentRequest request = with(all);
  const auto told = f.headers.read(request);
  CHECK(told.country == click::known_country("DE"));
  CHECK(told.click_id == "r-1");
  SentRequest stranger = with(all);
  stranger.peer_ip = "203.0.113.99";
  const auto nothing = f.headers.read(stranger);
  CHECK(nothing.ip == "203.0.113.99");
  CHECK_FALSE(nothing.country);
  CHECK(nothing.click_id.empty());
}

TEST_CASE("proxy headers: what can't be read is counted by header", "[collector]") {
  Fixture f("x-real-ip");
  const auto series = [](const char* header, int count) {
    return "clickmill_collector_unreadable_headers_total{header=\"" + std::string(header) + "\"} " +
           std::to_string(count);
  };
  for (int i = 0; i < 3; ++i) {
    f.headers.read(with(
        {{"x-real-ip", "unknown"}, {"cf-ipcountry", "Germany"}, {"x-request-id", "two words"}}));
  }
  f.headers.read(with({{"x-forwarded-for", "203.0.113.300"}}));
  // No country, but an answer.
  for (const char* code : {"XX", "T1", "EU", "AP", "ZZ", "de"})
    f.headers.read(with({{"cf-ipcountry", code}}));
  CHECK(f.has_metric(series("x-real-ip", 3)));
  CHECK(f.has_metric(series("cf-ipcountry", 3)));
  CHECK(f.has_metric(series("x-request-id", 3)));
  CHECK(f.has_metric(series("x-forwarded-for", 1)));
}

}  // namespace clickmill::collector
