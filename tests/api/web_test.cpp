#include "api/web.h"

#include <catch2/catch.hpp>
#include <map>
#include <regex>
#include <set>

#include "api/web_files.h"
#include "http/content_encoding.h"
#include "http/sent_request.h"

namespace clickmill::api {
namespace {

using Headers = http::SentRequest::Headers;

std::map<std::string, std::string> headers_of(const http::Response& response) {
  return {response.headers.begin(), response.headers.end()};
}
http::Response ask(const StaticFile& file, const Headers& headers) {
  return file.answer(http::SentRequest(http::Method::get, {}, headers));
}
std::string gunzipped(const std::string& bytes) {
  http::SentRequest request(http::Method::post, bytes, {{"Content-Encoding", "gzip"}});
  request.body_bytes_max = 1 << 20;
  std::string decoded;
  std::string_view body;
  REQUIRE(!http::decode_body(request, decoded, body));
  return std::string(body);
}

const std::string kText(2'000, 'x');

TEST_CASE("web: a file is sent as gzip to who takes it, each form with a tag of its own", "[api]") {
  const StaticFile file("text/plain", kText, "no-cache");
  const auto [accepted, gzip] = GENERATE(table<std::string, bool>({
      {"", false},
      {"gzip", true},
      {"deflate, gzip;q=0.5, br", true},
      {"gzip;q=0", false},
      {"gzip; q=0.0, br", false},
      {"br", false},
      {"identity", false},
  }));
  CAPTURE(accepted);
  const auto answer = ask(file, {{"Accept-Encoding", accepted}});
  CHECK(answer.status == 200);
  auto headers = headers_of(answer);
  CHECK(headers["Vary"] == "Accept-Encoding");
  CHECK(headers["Cache-Control"] == "no-cache");
  CHECK(headers["Content-Encoding"] == (gzip ? "gzip" : ""));
  CHECK((gzip ? gunzipped(answer.body) : answer.body) == kText);
  CHECK((answer.body.size() < kText.size()) == gzip);
  const auto other = ask(file, {{"Accept-Encoding", gzip ? "" : "gzip"}});
  CHECK(headers["ETag"] != headers_of(other)["ETag"]);
}

TEST_CASE("web: who has a file already is told so, by any of the tags it names", "[api]") {
  const StaticFile file("text/plain", kText, "no-cache");
  const std::string tag = headers_of(ask(file, {}))["ETag"];
  const auto status = [&](const std::string& known) {
    const auto answer = ask(file, {{"If-None-Match", known}});
    auto headers = headers_of(answer);
    CHECK(headers["ETag"] == tag);
    CHECK(answer.body.empty() == (answer.status == 304));
    CHECK(answer.content_type.empty() == (answer.status == 304));
    return answer.status;
  };
  CHECK(status(tag) == 304);
  CHECK(status("W/" + tag) == 304);
  CHECK(status("\"other\", " + tag) == 304);
  CHECK(status("*") == 304);
  CHECK(status("\"other\"") == 200);
  CHECK(status(tag.substr(1)) == 200);
  CHECK(headers_of(ask(StaticFile("text/plain", kText + "y", ""), {}))["ETag"] != tag);
}

TEST_CASE("web: what gzip makes no shorter is sent as it is", "[api]") {
  const auto answer = ask(StaticFile("text/plain", "x", ""), {{"Accept-Encoding", "gzip"}});
  CHECK(answer.body == "x");
  CHECK(headers_of(answer).count("Content-Encoding") == 0);
}

TEST_CASE("web: the page is whole and small, the publisher's script too", "[api]") {
  std::set<std::string> names;
  size_t page_bytes = 0;
  std::string texts;
  for (const WebFile& file : web_files()) {
    CAPTURE(file.name);
    CHECK(!content_type_of(file.name).empty());
    CHECK(file.text().find("http://") == file.text().find("http://www.w3.org/2000/svg"));
    names.emplace(file.name);
    if (file.name == "click.js") {
      CHECK(file.text().size() < 3'000);
      continue;
    }
    page_bytes += file.text().size();
    texts += file.text();
  }
  CHECK(names.count("index.html") == 1);
  CHECK(names.count("click.js") == 1);
  CHECK(page_bytes <= 60 * 1024);
  // Everything that the page asks for is there.
  static const std::regex reference(R"re((?:["']page/\{hash\}/|from'\./)([a-z.]+))re");
  size_t references = 0;
  for (std::sregex_iterator at(texts.begin(), texts.end(), reference), end; at != end; ++at) {
    ++references;
    CHECK(names.count((*at)[1]) == 1);
  }
  CHECK(references > 10);
}

}  // namespace
}  // namespace clickmill::api
