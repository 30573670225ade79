#include "collector/browser.h"

#include <catch2/catch.hpp>

#include "collector/cors.h"
#include "http/sent_request.h"

namespace clickmill::collector {
namespace {

using Headers = http::SentRequest::Headers;

http::SentRequest request_with(Headers headers) {
  return http::SentRequest(http::Method::get, "", std::move(headers));
}

}  // namespace

TEST_CASE("browser: a prefetch says so in one of four headers", "[collector]") {
  const auto headers = GENERATE(values<Headers>({
      {{"Sec-Purpose", "prefetch"}},
      {{"Sec-Purpose", "prefetch;prerender"}},
      {{"Sec-Purpose", "prefetch; prerender"}},
      {{"Sec-Purpose", "Prerender"}},
      {{"Sec-Purpose", "\"prefetch\""}},
      {{"Sec-Purpose", "prefetch;anonymous-client-ip"}},
      {{"Sec-Purpose", "other"}, {"Sec-Purpose", "prefetch"}},
      {{"Sec-Purpose", "other, ,prefetch"}},
      {{"Purpose", "prefetch"}},
      {{"X-Moz", "prefetch"}},
      {{"X-Purpose", "prefetch"}},
      {{"Purpose", "preview"}, {"Sec-Purpose", "prefetch"}},
  }));
  CHECK(is_prefetch(request_with(headers)));
}

TEST_CASE("browser: a preview is no prefetch, and a click is neither", "[collector]") {
  const auto [headers, preview] = GENERATE(table<Headers, bool>({
      {{{"X-Firefox-Ai", "1"}}, true},
      {{{"Purpose", "preview"}}, true},
      {{{"X-Purpose", "Preview"}}, true},
      {{{"X-Purpose", "other"}, {"X-Purpose", "preview"}}, true},
      {{{"X-Firefox-Ai", ""}}, false},
      {{{"Purpose", "previewer"}}, false},
      {{{"Purpose", "fetch"}}, false},
      {{{"Sec-Purpose", ""}}, false},
      {{{"X-Moz", "no-prefetch"}}, false},
      {Headers{}, false},
  }));
  CHECK(is_preview(request_with(headers)) == preview);
  CHECK_FALSE(is_prefetch(request_with(headers)));
}

TEST_CASE("browser: only destination and mode together tell a background request", "[collector]") {
  const auto [dest, mode, want] = GENERATE(table<std::string, std::string, Following>({
      {"", "", Following::navigation},
      {"", "cors", Following::navigation},
      {"", "no-cors", Following::navigation},
      {"document", "navigate", Following::navigation},
      {"empty", "navigate", Following::navigation},
      {"empty", "same-origin", Following::navigation},
      {"empty", "", Following::navigation},
      {"image", "cors", Following::navigation},
      {"empty", "no-cors", Following::unseen},
      {"image", "no-cors", Following::unseen},
      {"empty", "cors", Following::script},
      {"Empty", "CORS", Following::script},
  }));
  CAPTURE(dest, mode);
  CHECK(following_of(request_with({{"Sec-Fetch-Dest", dest}, {"Sec-Fetch-Mode", mode}})) == want);
}

TEST_CASE("cors: an allowed origin is echoed with credentials", "[collector]") {
  const auto told = [](std::vector<std::string> origins, const std::string& origin) {
    http::Response response;
    Headers headers;
    if (!origin.empty()) headers.emplace_back("Origin", origin);
    Cors(std::move(origins)).add_to(request_with(headers), response);
    std::string out;
    for (const auto& [name, value] : response.headers) out += name + ": " + value + "\n";
    return out;
  };
  const std::string vary = "Vary: Origin\n";
  const std::string credentials = "Access-Control-Allow-Credentials: true\n";
  const std::string a = "Access-Control-Allow-Origin: https://a.example\n";
  CHECK(told({"*"}, "https://a.example") == vary + a + credentials);
  CHECK(told({"https://b.example", "https://a.example"}, "https://a.example") ==
        vary + a + credentials);
  CHECK(told({"*"}, "null") == vary + "Access-Control-Allow-Origin: null\n" + credentials);
  CHECK(told({"https://b.example"}, "https://a.example") == vary);
  CHECK(told({"https://a.example"}, "https://a.example.evil") == vary);
  CHECK(told({"*"}, "") == vary);
  CHECK(told({}, "https://a.example").empty());
}

}  // namespace clickmill::collector
