#include "http/message.h"

#include <catch2/catch.hpp>
#include <tuple>

#include "base/query_params.h"
#include "base/text.h"
#include "http/sent_request.h"
#include "http/server.h"
#include "http/wire.h"

namespace clickmill::http {

TEST_CASE("message: percent escapes are decoded or refused", "[http]") {
  using Want = std::optional<std::string>;
  auto [in, want] = GENERATE(table<std::string, Want>({
      {"", Want("")},
      {"plain", Want("plain")},
      {"a+b", Want("a+b")},
      {"%41%6a%6A", Want("Ajj")},
      {"%00", Want(std::string(1, '\0'))},
      {"%ff", Want("\xff")},
      {"100%25", Want("100%")},
      {"%", std::nullopt},
      {"%4", std::nullopt},
      {"a%4", std::nullopt},
      {"%4g", std::nullopt},
      {"%g4", std::nullopt},
      {"%+1", std::nullopt},
      {"%%41", std::nullopt},
  }));
  CAPTURE(in);
  CHECK(percent_decoded(in) == want);
}

TEST_CASE("message: a query is split and decoded", "[http]") {
  using Items = std::vector<std::pair<std::string, std::string>>;
  auto [in, items, broken] = GENERATE(table<std::string, Items, bool>({
      {"", {}, false},
      {"&&", {}, false},
      {"a=1", {{"a", "1"}}, false},
      {"a=1&b=2&a=3", {{"a", "1"}, {"b", "2"}, {"a", "3"}}, false},
      {"a", {{"a", ""}}, false},
      {"a=", {{"a", ""}}, false},
      {"=x", {{"", "x"}}, false},
      {"a=b=c", {{"a", "b=c"}}, false},
      {"a+b=c+d%2B", {{"a b", "c d+"}}, false},
      {"a%26=%3d&", {{"a&", "="}}, false},
      {"a=%zz&b=2", {{"a", "%zz"}, {"b", "2"}}, true},
      {"%=1&b=2", {{"%", "1"}, {"b", "2"}}, true},
      {"a=x%&b=%4&c=%41%", {{"a", "x%"}, {"b", "%4"}, {"c", "A%"}}, true},
      {"a=%%41&b=%4%41", {{"a", "%A"}, {"b", "%4A"}}, true},
  }));
  CAPTURE(in);
  const QueryParams params = parse_query(in);
  CHECK(params.items == items);
  CHECK(params.broken == broken);
}

TEST_CASE("message: a plus is kept in the one parameter that is named", "[http]") {
  using Items = std::vector<std::pair<std::string, std::string>>;
  CHECK(parse_query("id=a+b%2B%20c&x=a+b&i%64=+", "id").items ==
        Items{{"id", "a+b+ c"}, {"x", "a b"}, {"id", "+"}});
}

TEST_CASE("message: a list's items are those of all its lines", "[http]") {
  using Items = std::vector<std::string_view>;
  const SentRequest request(Method::get, "",
                            {{"A", "1, 2"}, {"B", "x"}, {"A", ""}, {"A", " ,\t, 3 ,"}});
  CHECK(header_items(request, "A") == Items{"1", "2", "3"});
  CHECK(header_items(request, "B") == Items{"x"});
  CHECK(header_items(request, "C").empty());
}

TEST_CASE("message: find answers the first parameter of a name", "[http]") {
  const QueryParams params = parse_query("a=1&b=2&a=3");
  REQUIRE(params.find("a") != nullptr);
  CHECK(*params.find("a") == "1");
  CHECK(params.find("c") == nullptr);
}

TEST_CASE("message: any bytes become a valid JSON string", "[http]") {
  const std::string bad = "\xef\xbf\xbd";
  auto [in, want] = GENERATE_COPY(table<std::string, std::string>({
      {"", "\"\""},
      {"a\"b\\c/", "\"a\\\"b\\\\c/\""},
      {"\n\r\t\b\f", "\"\\n\\r\\t\\b\\f\""},
      {std::string("\0\x1f\x7f", 3), "\"\\u0000\\u001f\x7f\""},
      {"\xc3\xa9", "\"\xc3\xa9\""},
      {"\xe2\x82\xac", "\"\xe2\x82\xac\""},
      {"\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\""},
      {"\xf4\x8f\xbf\xbf", "\"\xf4\x8f\xbf\xbf\""},
      {"\xff", "\"" + bad + "\""},
      {"\x80z", "\"" + bad + "z\""},
      {"\xc3", "\"" + bad + "\""},
      {"\xc3(", "\"" + bad + "(\""},
      {"\xc1\xbf", "\"" + bad + bad + "\""},
      {"\xe0\x9f\xbf", "\"" + bad + bad + bad + "\""},
      {"\xed\xa0\x80", "\"" + bad + bad + bad + "\""},
      {"\xf0\x8f\xbf\xbf", "\"" + bad + bad + bad + bad + "\""},
      {"\xf4\x90\x80\x80", "\"" + bad + bad + bad + bad + "\""},
      {"\xf5\x80\x80\x80", "\"" + bad + bad + bad + bad + "\""},
      {"\xe2\x82", "\"" + bad + bad + "\""},
  }));
  CHECK(json_quoted(in) == want);
}

TEST_CASE("message: a problem names status, detail and field", "[http]") {
  const Response response = problem(400, "too \"big\"", "size");
  CHECK(response.status == 400);
  CHECK(response.content_type == "application/problem+json");
  CHECK(response.body ==
        "{\"type\":\"about:blank\",\"title\":\"Bad Request\",\"status\":400,"
        "\"detail\":\"too \\\"big\\\"\",\"field\":\"size\"}\n");
  CHECK(problem(404, "x").body.find("field") == std::string::npos);
}

TEST_CASE("message: a responder answers once, and 500 when it is dropped", "[http]") {
  std::vector<int> statuses;
  const auto send = [&](Response&& response) { statuses.push_back(response.status); };
  {
    Responder respond(send);
    respond(json_response("{}", 201));
    respond(json_response("{}", 202));
    CHECK_FALSE(respond);
  }
  CHECK(statuses == std::vector<int>{201});
  {
    Responder dropped(send);
    Responder moved = std::move(dropped);
  }
  CHECK(statuses == std::vector<int>{201, 500});
}

TEST_CASE("wire: a header's value cannot add a header", "[http]") {
  Response response = json_response("{}");
  response.headers.emplace_back("Location", "/a\r\nSet-Cookie: b");
  std::string head;
  append_head(head, response, Framing::length, false, 1);
  CHECK(head.find("Location: /a  Set-Cookie: b\r\n") != std::string::npos);
  CHECK(head.find("Content-Length: 2\r\n") != std::string::npos);
  CHECK(head.find("Connection") == std::string::npos);
  CHECK(head.substr(head.size() - 4) == "\r\n\r\n");
}

TEST_CASE("wire: the date has the fixed form of RFC 9110", "[http]") {
  const std::string date(http_date());
  REQUIRE(date.size() == 29);
  CHECK(date.substr(3, 2) == ", ");
  CHECK(date.substr(25) == " GMT");
}

TEST_CASE("host:port: what is one", "[http]") {
  auto [in, host, port, loopback] = GENERATE(table<std::string, std::string, int, bool>({
      {"127.0.0.1:8080", "127.0.0.1", 8080, true},
      {"127.255.0.9:0", "127.255.0.9", 0, true},
      {"128.0.0.1:1", "128.0.0.1", 1, false},
      {"0.0.0.0:65535", "0.0.0.0", 65535, false},
      {"[::1]:8080", "::1", 8080, true},
      {"[::]:8080", "::", 8080, false},
      {"[::ffff:127.0.0.1]:1", "::ffff:127.0.0.1", 1, true},
      {"localhost:80", "localhost", 80, true},
      {"LocalHost:80", "LocalHost", 80, true},
      {"node-1.example_net:80", "node-1.example_net", 80, false},
  }));
  CAPTURE(in);
  const auto parsed = parse_host_port(in);
  REQUIRE(parsed);
  CHECK(parsed->host == host);
  CHECK(parsed->port == port);
  CHECK(parsed->is_loopback == loopback);
}

TEST_CASE("host:port: what is none", "[http]") {
  const std::string in = GENERATE("", "8080", "localhost", ":8080", "localhost:", "a:65536", "a:-1",
                                  "a:+1", "a: 1", "a:1 ", "a:8o", "::1:8080", "[::1]", "[]:1",
                                  "[localhost]:1", "[::1:80", "a b:1", "http://a:80");
  CAPTURE(in);
  const auto parsed = parse_host_port(in);
  REQUIRE_FALSE(parsed);
  CHECK(parsed.error().code() == Errc::invalid);
}

}  // namespace clickmill::http
