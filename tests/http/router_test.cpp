#include "http/router.h"

#include <catch2/catch.hpp>
#include <tuple>

#include "http/auth.h"

namespace clickmill::http {
namespace {

class PlainRequest final : public Request {
 public:
  PlainRequest(Method m, std::string p) : text(std::move(p)) {
    method = m;
    path = text;
  }
  std::string_view header(std::string_view name) const override {
    return name == "authorization" ? std::string_view(authorization) : std::string_view();
  }
  std::vector<std::string_view> header_lines(std::string_view name) const override {
    return {header(name)};
  }
  std::string text;
  std::string authorization;
};

struct Routes {
  Routes() {
    add(Method::get, "/", "root");
    add(Method::get, "/v1/ads", "list");
    add(Method::post, "/v1/ads", "bulk");
    add(Method::get, "/v1/ads/{id}", "get");
    add(Method::put, "/v1/ads/{id}", "put");
    add(Method::get, "/v1/ads/top", "top");
    add(Method::get, "/v1/{kind}/{id}/hours", "hours");
    add(Method::options, "/v1/click", "cors");
    add(Method::post, "/v1/click", "click");
  }
  void add(Method method, std::string_view pattern, std::string name) {
    router.add(method, pattern,
               [name](const RequestPtr&, const Router::Params& params, Responder respond) {
                 std::string text = name;
                 for (const auto& param : params) text += "|" + param;
                 respond(json_response(text));
               });
  }
  Response handle(Method method, const std::string& path) const {
    Response got;
    router.handle(std::make_shared<PlainRequest>(method, path),
                  Responder([&](Response&& response) { got = std::move(response); }));
    return got;
  }
  Router router;
};

}  // namespace

TEST_CASE("router: a method and path find their handler", "[http]") {
  auto [method, path, want] = GENERATE(table<Method, std::string, std::string>({
      {Method::get, "/", "root"},
      {Method::get, "/v1/ads", "list"},
      {Method::head, "/v1/ads", "list"},
      {Method::post, "/v1/ads", "bulk"},
      {Method::get, "/v1/ads/7", "get|7"},
      {Method::put, "/v1/ads/top", "put|top"},
      {Method::get, "/v1/ads/top", "top"},
      {Method::get, "/v1/ads/%74op", "top"},
      {Method::get, "/v1/ads/a%2Fb%20c+", "get|a/b c+"},
      {Method::get, "/v1/ads/7/hours", "hours|ads|7"},
      {Method::options, "/v1/click", "cors"},
  }));
  CAPTURE(path);
  const Response response = Routes().handle(method, path);
  CHECK(response.status == 200);
  CHECK(response.body == want);
}

TEST_CASE("router: what no route has is a problem", "[http]") {
  auto [method, path, status, allow] = GENERATE(table<Method, std::string, int, std::string>({
      {Method::get, "/v1", 404, ""},
      {Method::get, "/v1/ads/", 404, ""},
      {Method::get, "/v1/ads//hours", 404, ""},
      {Method::get, "//", 404, ""},
      {Method::get, "/v1/ads/7/hours/x", 404, ""},
      {Method::get, "/v1/ads/%zz", 400, ""},
      {Method::delete_, "/v1/ads", 405, "GET, HEAD, POST"},
      {Method::options, "/v1/ads/7", 405, "GET, HEAD, PUT"},
      {Method::get, "/v1/click", 405, "POST, OPTIONS"},
      {Method::other, "/", 405, "GET, HEAD"},
  }));
  CAPTURE(path);
  const Response response = Routes().handle(method, path);
  CHECK(response.status == status);
  CHECK(response.content_type == "application/problem+json");
  std::string named;
  for (const auto& [name, value] : response.headers) {
    if (name == "Allow") named = value;
  }
  CHECK(named == allow);
}

TEST_CASE("auth: SHA-256 of a known text", "[http]") {
  CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_CASE("auth: without keys everyone is admin", "[http]") {
  const auto who = Authenticator({}).authenticate(PlainRequest(Method::get, "/"));
  REQUIRE(who);
  CHECK(who->name == "loopback");
  CHECK(who->role == Role::admin);
}

TEST_CASE("auth: a key is known by its digest", "[http]") {
  const Authenticator keys({{"ana", sha256_hex("secret-a"), Role::advertiser, "adv-1"},
                            {"broken", "abcd", Role::admin, ""},
                            {"ops", sha256_hex("secret-b"), Role::admin, ""}});
  auto [header, name] = GENERATE(table<std::string, std::string>({
      {"Bearer secret-a", "ana"},
      {"bearer secret-b", "ops"},
      {"BEARER   secret-b ", "ops"},
      {"", ""},
      {"Bearer", ""},
      {"Bearer ", ""},
      {"Bearer    ", ""},
      {"Basic secret-a", ""},
      {"secret-a", ""},
      {"Bearer secret-A", ""},
      {"Bearer secret-a x", ""},
      {"Bearer abcd", ""},
  }));
  CAPTURE(header);
  PlainRequest request(Method::get, "/");
  request.authorization = header;
  const auto who = keys.authenticate(request);
  CHECK((who ? who->name : "") == name);
  if (name == "ana") CHECK(who->advertiser_id == "adv-1");
}

TEST_CASE("auth: refusals are problems", "[http]") {
  const Response response = Authenticator::unauthorized();
  CHECK(response.status == 401);
  REQUIRE(response.headers.size() == 1);
  CHECK(response.headers[0].first == "WWW-Authenticate");
  CHECK(Authenticator::forbidden("admin").status == 403);
}

TEST_CASE("router: requests are counted by the route that answers them", "[http]") {
  Metrics metrics;
  Router router(&metrics, "api");
  const auto answer = [](const RequestPtr&, const Router::Params&, Responder respond) {
    respond(json_response("{}"));
  };
  router.add(Method::get, "/v1/ads/{id}", answer);
  router.add(Method::put, "/v1/ads/{id}", answer);
  const auto ask = [&](Method method, const std::string& path) {
    router.handle(std::make_shared<PlainRequest>(method, path), Responder([](Response&&) {}));
  };
  ask(Method::get, "/v1/ads/a");
  ask(Method::head, "/v1/ads/b");
  ask(Method::put, "/v1/ads/b");
  ask(Method::post, "/v1/ads/b");
  ask(Method::get, "/v2");
  const std::string text = metrics.render();
  const std::string series = "\nclickmill_http_route_requests_total{listener=\"api\",method=";
  CHECK(text.find(series + "\"GET\",route=\"/v1/ads/{id}\"} 2\n") != std::string::npos);
  CHECK(text.find(series + "\"PUT\",route=\"/v1/ads/{id}\"} 1\n") != std::string::npos);
}

}  // namespace clickmill::http
