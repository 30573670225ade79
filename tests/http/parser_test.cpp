#include <catch2/catch.hpp>
#include <random>
#include <tuple>

#include "http/request_parser.h"

namespace clickmill::http {
namespace {

using Outcome = RequestParser::Outcome;

struct Parsed {
  std::vector<std::string> requests;  ///< "path?query body"
  int failure = 0;
};

/// Feeds `text` in pieces of `step` bytes, as a slow network would.
Parsed parse(const std::string& text, size_t step, const BodyLimits& limits) {
  Parsed out;
  RequestParser parser(limits, "1.2.3.4");
  std::string buffer;
  for (size_t at = 0; at < text.size(); at += step) {
    buffer += text.substr(at, step);
    while (true) {
      size_t used = 0;
      const Outcome outcome = parser.parse(buffer, used);
      buffer.erase(0, used);
      if (outcome == Outcome::need_more) break;
      if (outcome == Outcome::failed) {
        out.failure = parser.failure().status;
        return out;
      }
      const RequestPtr request = parser.request();
      out.requests.push_back(std::string(request->path) + "?" + std::string(request->query) + " " +
                             std::string(request->body));
      parser.next();
    }
  }
  return out;
}

const BodyLimits kLimits{10, {"/bulk"}, 20};

}  // namespace

TEST_CASE("parser: requests come out the same in pieces of any size", "[http]") {
  const std::string text =
      "GET /a?x=1 HTTP/1.1\r\nHost: h\r\n\r\n"
      "POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n0123456789\r\n"
      "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3;ext=1\r\nabc\r\n7\r\ndefghij\r\n0\r\nTrailer: t\r\n\r\n"
      "POST /bulk HTTP/1.1\r\nHost: h\r\nContent-Length: 20\r\n\r\n01234567890123456789"
      "GET http://host:80/d?e HTTP/1.1\r\nHost: h\r\n\r\n"
      "GET http://host?e HTTP/1.1\r\nHost: h\r\n\r\n"
      "OPTIONS * HTTP/1.0\r\n\r\n";
  const size_t step = GENERATE(1, 2, 3, 7, 50, 10'000);
  CAPTURE(step);
  const Parsed got = parse(text, step, kLimits);
  CHECK(got.failure == 0);
  CHECK(got.requests == std::vector<std::string>{"/a?x=1 ", "/b? 0123456789", "/c? abcdefghij",
                                                 "/bulk? 01234567890123456789", "/d?e ", "/?e ",
                                                 "*? "});
}

TEST_CASE("parser: a chunked body of nothing but its end may come byte by byte", "[http]") {
  const std::string head = "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string end =
      GENERATE("0\r\n\r\n", "00\r\nA: b\r\n\r\n", "0;x=y\r\n\r\n", "1\r\na\r\n0\r\n\r\n");
  const size_t step = GENERATE(1, 2, 3, 4, 5, 1000);
  CAPTURE(end, step);
  const Parsed got = parse(head + end + head + end, step, kLimits);
  CHECK(got.failure == 0);
  const std::string want = end[0] == '1' ? "/c? a" : "/c? ";
  CHECK(got.requests == std::vector<std::string>{want, want});
}

TEST_CASE("parser: what breaks a rule is refused", "[http]") {
  const std::string post = "POST /p HTTP/1.1\r\nHost: h\r\n";
  const std::string many_fields = [] {
    std::string text;
    for (int i = 0; i < 300; ++i)
      text += "X-Header-" + std::to_string(i) + ": " + std::string(50, 'v') + "\r\n";
    return text;
  }();
  auto [text, status] = GENERATE_COPY(table<std::string, int>({
      {"nonsense\r\n\r\n", 400},
      {"GET / HTTP/3.0\r\nHost: h\r\n\r\n", 400},
      {"GET /\r\n\r\n", 400},
      {"GET x HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: h\r\nbad header\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: h\r\nA : b\r\n\r\n", 400},
      {post + "Content-Length: x\r\n\r\n", 400},
      {post + "Content-Length: -1\r\n\r\n", 400},
      {post + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
      {post + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {post + "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", 400},
      {post + "Transfer-Encoding: gzip\r\n\r\n", 400},
      {post + "A: b\r\n c\r\n\r\n", 400},
      {post + "Transfer-Encoding:\r\n\tchunked\r\n\r\n0\r\n\r\n", 400},
      {post + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
      {post + "Content-Length: 11\r\n\r\n", 413},
      {post + "Content-Length: 18446744073709551615\r\n\r\n", 413},
      {post + "Transfer-Encoding: chunked\r\n\r\nb\r\n", 413},
      {post + "Transfer-Encoding: chunked\r\n\r\n9\r\n012345678\r\n2\r\n", 413},
      {post + "Transfer-Encoding: chunked\r\n\r\n1\r\n0\r\nffffffffffffffff\r\n", 413},
      {"POST /bulk HTTP/1.1\r\nHost: h\r\nContent-Length: 21\r\n\r\n", 413},
      {"GET /" + std::string(17'000, 'a') + " HTTP/1.1\r\nHost: h\r\n\r\n", 431},
      {"GET / HTTP/1.1\r\nHost: h\r\nA: " + std::string(17'000, 'a') + "\r\n\r\n", 431},
      {"GET / HTTP/1.1\r\nHost: h\r\n" + many_fields + "\r\n", 431},
      {post + "Transfer-Encoding: chunked\r\n\r\n1;" + std::string(17'000, 'a'), 431},
  }));
  // In pieces the limits must hold as well.
  const size_t step = GENERATE(61, 100'000);
  CAPTURE(text.substr(0, 200), step);
  const Parsed got = parse(text, step, kLimits);
  CHECK(got.requests.empty());
  CHECK(got.failure == status);
}

TEST_CASE("parser: header names have no case and the first one counts", "[http]") {
  RequestParser parser(kLimits, "1.2.3.4");
  size_t used = 0;
  const std::string text = "GET / HTTP/1.1\r\nHOST: h\r\nX-a: 1\r\nx-A:   2  \r\nEmpty:\r\n\r\n";
  REQUIRE(parser.parse(text, used) == Outcome::complete);
  CHECK(parser.request()->header("x-a") == "1");
  CHECK(parser.request()->header("Host") == "h");
  CHECK(parser.request()->header("empty").empty());
  CHECK(parser.request()->header("x").empty());
  CHECK(parser.request()->peer_ip == "1.2.3.4");
}

TEST_CASE("parser: a request that is still held keeps its bytes", "[http]") {
  RequestParser parser(kLimits, "1.2.3.4");
  const auto next = [&](const std::string& path) {
    const std::string text =
        "POST /" + path + " HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n" + path;
    size_t used = 0;
    REQUIRE(parser.parse(text, used) == Outcome::complete);
    RequestPtr request = parser.request();
    parser.next();
    return request;
  };
  const RequestPtr held = next("aaaa");
  const Request* second = next("bbbb").get();
  CHECK(held->body == "aaaa");
  CHECK(held->path == "/aaaa");
  // Nobody held the second one, so its memory serves the third.
  CHECK(next("cccc").get() == second);
}

TEST_CASE("parser: random bytes are taken or refused, never more", "[http]") {
  const std::string seedling =
      "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
  const uint32_t seed = GENERATE(1U, 2U, 3U);
  CAPTURE(seed);
  uint32_t state = seed;
  const auto random = [&](size_t below) {
    state = state * 1664525U + 1013904223U;
    return (state >> 8) % below;
  };
  size_t failures = 0;
  for (int round = 0; round < 2'000; ++round) {
    std::string text = seedling;
    for (size_t i = 0; i < 1 + random(3); ++i) {
      text[random(text.size())] = static_cast<char>(random(256));
    }
    failures += parse(text, 1 + random(80), kLimits).failure != 0 ? 1 : 0;
  }
  CHECK(failures > 0);
}

namespace {

/// All that a request tells, and how its connection goes on.
std::string told_of(const RequestParser& parser) {
  const RequestPtr request = parser.request();
  std::string out = std::to_string(static_cast<int>(request->method)) + " ";
  for (const std::string_view part : {request->path, request->query, request->body}) {
    out += part;
    out += '|';
  }
  for (const char* name : {"Host", "Content-Length", "Connection", "X-A", "User-Agent", "Accept"}) {
    for (const std::string_view line : request->header_lines(name)) {
      out += name;
      out += '=';
      out += line;
      out += '|';
    }
  }
  out += parser.keep_alive() ? "keep" : "close";
  return out + std::to_string(parser.http_minor()) + std::to_string(request->body_bytes_max);
}

std::vector<std::string> told_of_all(const std::string& text, size_t step) {
  std::vector<std::string> out;
  const BodyLimits limits{10, {"/bulk"}, 20};
  RequestParser parser(limits, "1.2.3.4");
  std::string buffer;
  for (size_t at = 0; at < text.size(); at += step) {
    buffer += text.substr(at, step);
    while (true) {
      size_t used = 0;
      const Outcome outcome = parser.parse(buffer, used);
      buffer.erase(0, used);
      if (outcome == Outcome::need_more) break;
      if (outcome == Outcome::failed) {
        out.push_back("failed " + std::to_string(parser.failure().status));
        return out;
      }
      out.push_back(told_of(parser));
      parser.next();
    }
  }
  return out;
}

}  // namespace

// Goal: the quick reader of whole requests takes nothing that the full parser would refuse or
// read differently. Method: what comes byte by byte is never the quick one's; both are given
// the same texts, good ones with a few bytes changed, left out, doubled or put in.
TEST_CASE("parser: a request in one piece is read as one in many", "[http]") {
  const std::vector<std::string> good = {
      "POST /v1/click HTTP/1.1\r\nHost: h\r\nUser-Agent: a (b; c)\r\nContent-Length: "
      "7\r\n\r\n{\"a\":1}",
      "GET /v1/click?ad_id=a%20b&x=y HTTP/1.1\r\nHost:h\r\nX-A: 1\r\nx-a:\t2 \r\n\r\n",
      "HEAD / HTTP/1.1\r\nhost: h\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n",
      "POST /bulk HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\n\r\n0123456789ab",
      "POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
      "POST /p HTTP/1.1\r\nHost: h\r\nConnection: Keep-Alive, x\r\nContent-Length: 1\r\n\r\nx",
  };
  const std::vector<std::string> pieces = {"\r\n",
                                           "\r",
                                           "\n",
                                           " ",
                                           "\t",
                                           ":",
                                           "Host: i\r\n",
                                           "Content-Length: 3\r\n",
                                           "X-A: \x80\r\n",
                                           "Transfer-Encoding: chunked\r\n",
                                           "Expect: 100-continue\r\n",
                                           "0",
                                           "9",
                                           std::string(1, '\0'),
                                           "Content-Length: +1\r\n",
                                           "Content-Length: 1, 1\r\n",
                                           "Connection: upgrade\r\n",
                                           "#",
                                           "\"",
                                           "HTTP/1.0",
                                           "\r\n X",
                                           "Content-Length : 4\r\n",
                                           "Transfer-Encoding: identity\r\n"};
  std::mt19937_64 random(GENERATE(1, 2, 3, 4));
  const auto below = [&random](size_t bound) { return static_cast<size_t>(random() % bound); };
  std::string differs;
  for (int round = 0; round < 3'000 && differs.empty(); ++round) {
    std::string text = good[below(good.size())];
    for (size_t changes = below(3); changes > 0; --changes) {
      const size_t at = below(text.size() + 1);
      switch (below(4)) {
        case 0: text.insert(at, pieces[below(pieces.size())]); break;
        case 1: text.erase(at, 1 + below(3)); break;
        case 2: text.insert(at, text.substr(at, below(20))); break;
        default: text.replace(at, 1, pieces[below(pieces.size())]); break;
      }
    }
    text += "GET /next HTTP/1.1\r\nHost: h\r\n\r\n";
    if (told_of_all(text, text.size()) != told_of_all(text, 1)) differs = text;
  }
  CHECK(differs.empty());
}

}  // namespace clickmill::http
