#include "http/client.h"

#include <catch2/catch.hpp>
#include <future>
#include <mutex>
#include <thread>

#include "http/router.h"
#include "http/server.h"

namespace clickmill::http {
namespace {

using Answer = std::future<Result<Client::Reply>>;

/// A server with a path per behaviour, and a client for it.
struct Fixture {
  explicit Fixture(uint32_t idle_timeout_ms = 60'000, size_t connections_most = 2)
      : server({1, idle_timeout_ms, 100}, metrics) {
    router.add(Method::get, "/base/{name}",
               [](RequestPtr request, const Router::Params& params, Responder respond) {
                 respond(json_response(params[0] + " " + std::string(request->header("X-Key"))));
               });
    router.add(Method::get, "/base/big", [](RequestPtr, const Router::Params&, Responder respond) {
      respond(json_response(std::string(5'000, 'b')));
    });
    router.add(Method::get, "/base/held",
               [this](RequestPtr, const Router::Params&, Responder respond) {
                 std::lock_guard lock(mutex);
                 held.push_back(std::move(respond));
               });
    router.add(Method::post, "/base/echo",
               [](RequestPtr request, const Router::Params&, Responder respond) {
                 Response response = json_response(std::string(request->body), 202);
                 response.headers.emplace_back("X-Code", "7");
                 respond(std::move(response));
               });
    Server::Listener listener;
    listener.address = "127.0.0.1:0";
    listener.max_body_bytes = 1 << 20;
    listener.handler = router.handler();
    const std::string address = server.listen(std::move(listener)).value();
    server.start();
    Client::Options options;
    options.url = parse_url("http://" + address + "/base/").value();
    options.headers = {{"X-Key", "secret"}};
    options.connections_most = connections_most;
    options.waiting_most = 2;
    options.body_bytes_most = 4'999;
    options.reply_header = "x-code";
    client.emplace(options);
    client->start();
  }
  ~Fixture() {
    client->stop();
    held.clear();
    server.stop(0);
  }
  Answer get(const std::string& path, int64_t timeout_ms = 10'000) {
    auto promise = std::make_shared<std::promise<Result<Client::Reply>>>();
    client->get(path, timeout_ms,
                [promise](Result<Client::Reply> reply) { promise->set_value(std::move(reply)); });
    return promise->get_future();
  }
  /// As /metrics would show it.
  std::string open_connections() const {
    const std::string text = metrics.render();
    const std::string name = "\nclickmill_http_connections ";
    const size_t begin = text.find(name) + name.size();
    return text.substr(begin, text.find('\n', begin) - begin);
  }
  void wait_held(size_t count) {
    while (true) {
      std::this_thread::yield();
      std::lock_guard lock(mutex);
      if (held.size() == count) return;
    }
  }

  Metrics metrics;
  Router router;
  std::mutex mutex;
  std::vector<Responder> held;
  Server server;
  std::optional<Client> client;
};

}  // namespace

TEST_CASE("url: is taken apart, and what has no place in it is refused", "[http]") {
  const auto plain = parse_url("http://ads.example").value();
  CHECK((plain.host == "ads.example" && plain.port == 80 && plain.path.empty() && !plain.tls));
  const auto tls = parse_url("https://ads.example/v1/ads//").value();
  CHECK((tls.host == "ads.example" && tls.port == 443 && tls.path == "/v1/ads" && tls.tls));
  const auto v6 = parse_url("http://[::1]:81/a").value();
  CHECK((v6.host == "::1" && v6.port == 81 && v6.path == "/a"));
  CHECK(parse_url("http://[::1]").value().port == 80);
  const auto bad = GENERATE("", "ads.example", "ftp://a", "http://", "http:///a", "http://a?b",
                            "http://a/#b", "http://u@a/", "http://a:b/", "http://a:70000",
                            "http://a:0", "http://a b/", "http://a/\n");
  CAPTURE(bad);
  CHECK(parse_url(bad).error().code() == Errc::invalid);
}

TEST_CASE("client: gets replies, with its headers, over kept connections", "[http]") {
  Fixture fixture;
  for (const char* name : {"a", "b", "c"}) {
    const auto reply = fixture.get(std::string("/") + name).get().value();
    CHECK(reply.status == 200);
    CHECK(reply.body == std::string(name) + " secret");
  }
  CHECK(fixture.open_connections() == "1");
  CHECK(fixture.get("/a/b").get().value().status == 404);
}

TEST_CASE("client: a post brings its body, and the reply the header that is wanted", "[http]") {
  Fixture fixture;
  const auto post = [&](std::shared_ptr<const std::string> body) {
    std::promise<Result<Client::Reply>> promise;
    fixture.client->post("/echo", std::move(body), 10'000, [&promise](Result<Client::Reply> reply) {
      promise.set_value(std::move(reply));
    });
    return promise.get_future().get();
  };
  for (const char* body : {"one", "", "three"}) {
    const auto reply = post(std::make_shared<const std::string>(body)).value();
    CHECK((reply.status == 202 && reply.body == body && reply.header == "7"));
  }
  CHECK(post(nullptr).value().body.empty());
  // More than the socket takes at once.
  const auto large = std::make_shared<const std::string>(1 << 20, 'x');
  CHECK(post(large).error().code() == Errc::io);
  CHECK(fixture.get("/a").get().value().header.empty());
}

TEST_CASE("client: a reply that is too large is an error, not memory", "[http]") {
  Fixture fixture;
  CHECK(fixture.get("/big").get().error().code() == Errc::io);
  CHECK(fixture.get("/small").get().value().status == 200);
}

TEST_CASE("client: connections and waiting requests are bounded, and all end in time", "[http]") {
  Fixture fixture;
  auto first = fixture.get("/held");
  auto second = fixture.get("/held");
  fixture.wait_held(2);
  auto third = fixture.get("/held", 1);
  CHECK(third.get().error().code() == Errc::busy);
  auto fourth = fixture.get("/x");
  auto fifth = fixture.get("/y");
  CHECK(fixture.get("/z").get().error().message() == "too many requests wait");
  {
    std::lock_guard lock(fixture.mutex);
    for (Responder& respond : fixture.held) respond(json_response("late"));
    fixture.held.clear();
  }
  CHECK(first.get().value().body == "late");
  CHECK(second.get().value().body == "late");
  CHECK(fourth.get().value().body == "x secret");
  CHECK(fifth.get().value().body == "y secret");
}

TEST_CASE("client: a server that says nothing ends in Errc::busy", "[http]") {
  Fixture fixture;
  CHECK(fixture.get("/held", 20).get().error().code() == Errc::busy);
  CHECK(fixture.get("/a").get().value().body == "a secret");
}

TEST_CASE("client: a kept connection that the server closed is replaced unnoticed", "[http]") {
  Fixture fixture(10);
  CHECK(fixture.get("/a").get().value().status == 200);
  while (fixture.open_connections() != "0") std::this_thread::yield();
  CHECK(fixture.get("/a").get().value().status == 200);
}

TEST_CASE("client: no server there is an error at once, and stop answers the rest", "[http]") {
  Client::Options options;
  options.url = parse_url("http://127.0.0.1:1/").value();
  Client nobody(options);
  nobody.start();
  std::promise<Result<Client::Reply>> refused;
  nobody.get("/a", 10'000,
             [&](Result<Client::Reply> reply) { refused.set_value(std::move(reply)); });
  CHECK(refused.get_future().get().error().code() == Errc::io);
  nobody.stop();
  std::promise<Result<Client::Reply>> closed;
  nobody.get("/a", 10'000,
             [&](Result<Client::Reply> reply) { closed.set_value(std::move(reply)); });
  CHECK(closed.get_future().get().error().code() == Errc::closed);

  Fixture fixture;
  auto under_way = fixture.get("/held");
  fixture.wait_held(1);
  fixture.client->stop();
  CHECK(under_way.get().error().code() == Errc::closed);
}

}  // namespace clickmill::http
