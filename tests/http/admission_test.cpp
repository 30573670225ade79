// Who may send large bodies, how many at a time, and how many connections each listener
// takes: decided before the node's memory is theirs.
#include <catch2/catch.hpp>
#include <condition_variable>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "http/body_budget.h"
#include "http/server.h"
#include "http/test_client.h"

namespace clickmill::http {
namespace {

constexpr uint64_t kLarge = 100'000;

/// One listener whose large path wants a key and holds its requests, one that is plain.
struct Fixture {
  Fixture() : server({.io_threads = 2, .large_bodies_bytes = 250'000}, metrics) {
    Server::Listener listener;
    listener.address = "127.0.0.1:0";
    listener.max_body_bytes = 1'000;
    listener.large_body_paths = {"/bulk"};
    listener.large_body_bytes = kLarge;
    listener.max_connections = 10;
    listener.refuse_large = [](const Request& request) -> std::optional<Response> {
      if (request.header("Key") == "right") return std::nullopt;
      return problem(401, "a key is needed");
    };
    listener.handler = [this](RequestPtr request, Responder respond) {
      if (request->path != "/bulk") return respond(json_response("at once"));
      std::lock_guard lock(mutex);
      held.emplace_back(std::move(request), std::move(respond));
      changed.notify_all();
    };
    address = server.listen(std::move(listener)).value();
    Server::Listener plain;
    plain.address = "127.0.0.1:0";
    plain.handler = [](RequestPtr, Responder respond) { respond(json_response("plain")); };
    plain_address = server.listen(std::move(plain)).value();
    server.start();
  }
  ~Fixture() { server.stop(0); }
  static std::string head(const std::string& rest) {
    return "POST /bulk HTTP/1.1\r\nHost: t\r\n" + rest + "\r\n\r\n";
  }
  static std::string with_key(size_t bytes) {
    return head("Key: right\r\nContent-Length: " + std::to_string(bytes));
  }
  void wait_held(size_t count) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return held.size() >= count; });
  }
  /// Answers all that are held with the length of their bodies.
  void answer_held() {
    std::vector<std::pair<RequestPtr, Responder>> mine;
    {
      std::lock_guard lock(mutex);
      mine.swap(held);
    }
    for (auto& [request, respond] : mine) {
      const std::string length = std::to_string(request->body.size());
      request.reset();
      respond(json_response(length));
    }
  }

  Metrics metrics;
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::pair<RequestPtr, Responder>> held;
  Server server;
  std::string address;
  std::string plain_address;
};

/// Answers with the length of the body; its budget is 3 MiB.
struct AtOnce {
  AtOnce() : server({.io_threads = 1, .large_bodies_bytes = 3 << 20}, metrics) {
    Server::Listener listener;
    listener.address = "127.0.0.1:0";
    listener.max_body_bytes = 1'000;
    listener.large_body_paths = {"/bulk"};
    listener.large_body_bytes = 16 << 20;
    listener.handler = [](RequestPtr request, Responder respond) {
      respond(json_response(std::to_string(request->body.size())));
    };
    address = server.listen(std::move(listener)).value();
    server.start();
  }
  ~AtOnce() { server.stop(0); }

  Metrics metrics;
  Server server;
  std::string address;
};

}  // namespace

TEST_CASE("body budget: it never gives more than it has", "[http]") {
  BodyBudget budget(100);
  CHECK(budget.take(60));
  CHECK_FALSE(budget.take(41));
  CHECK(budget.take(40));
  CHECK_FALSE(budget.take(1));
  CHECK(budget.take(0));
  budget.give_back(60);
  CHECK(budget.held() == 40);
  CHECK(budget.take(60));
  CHECK_FALSE(budget.take(UINT64_MAX));
}

TEST_CASE("admission: a large body without a key is refused before it is read", "[http]") {
  Fixture f;
  for (const std::string length :
       {"Content-Length: 100000", "Content-Length: 1001", "Transfer-Encoding: chunked"}) {
    CAPTURE(length);
    TestClient client(f.address);
    client.send(Fixture::head(length));
    CHECK(client.read().status == 401);
    CHECK(client.at_end());
  }
  // Neither is one with the right key that is too large.
  TestClient client(f.address);
  client.send(Fixture::with_key(kLarge + 1));
  CHECK(client.read().status == 413);
}

TEST_CASE("admission: a small body is the handler's to judge, and the connection lives on",
          "[http]") {
  Fixture f;
  TestClient client(f.address);
  client.send(Fixture::head("Content-Length: 1000") + std::string(1000, 'x'));
  f.wait_held(1);
  f.answer_held();
  CHECK(client.read().body == "1000");
  CHECK(client.call("GET", "/").body == "at once");
}

TEST_CASE("admission: large bodies share a budget, from their announcement to their end",
          "[http]") {
  Fixture f;
  TestClient first(f.address);
  TestClient second(f.address);
  const std::string body(kLarge, 'x');
  first.send(Fixture::with_key(kLarge) + body);
  second.send(Fixture::with_key(kLarge) + body);
  f.wait_held(2);
  TestClient third(f.address);
  third.send(Fixture::with_key(kLarge));
  const Answer refused = third.read();
  CHECK(refused.status == 503);
  CHECK(refused.header("retry-after") == "1");
  // What fits still comes in.
  TestClient fourth(f.address);
  fourth.send(Fixture::with_key(50'000) + std::string(50'000, 'x'));
  f.wait_held(3);
  f.answer_held();
  CHECK(first.read().body == "100000");
  CHECK(second.read().body == "100000");
  CHECK(fourth.read().body == "50000");
  // All of it is free again, though the connections live.
  for (int round = 0; round < 5; ++round) {
    first.send(Fixture::with_key(kLarge) + body);
    second.send(Fixture::with_key(kLarge) + body);
    f.wait_held(2);
    f.answer_held();
    CHECK(first.read().body == "100000");
    CHECK(second.read().body == "100000");
  }
}

TEST_CASE("admission: a client that goes away gives back what it announced", "[http]") {
  AtOnce f;
  for (int round = 0; round < 10; ++round) {
    TestClient client(f.address);
    client.send(Fixture::with_key(3 << 20) + "x");
    client.disconnect();
  }
  // The server sees it a moment later.
  Answer answer{503, {}, {}, true};
  for (int tries = 0; tries < 10'000 && answer.status == 503; ++tries) {
    TestClient client(f.address);
    client.send(Fixture::with_key(3 << 20));
    client.send(std::string(3 << 20, 'x'));
    answer = client.read();
  }
  CHECK(answer.body == std::to_string(3 << 20));
}

TEST_CASE("admission: a chunked body takes from the budget as it comes", "[http]") {
  AtOnce f;
  const std::string chunk = "100000\r\n" + std::string(1 << 20, 'x') + "\r\n";
  const std::string head = Fixture::head("Transfer-Encoding: chunked");
  TestClient client(f.address);
  client.send(head + chunk + chunk + chunk + "0\r\n\r\n");
  CHECK(client.read().body == std::to_string(3 << 20));
  client.send(head + chunk + chunk + chunk);
  client.send(chunk);
  CHECK(client.read().status == 503);
}

TEST_CASE("admission: one listener's connections leave the other's alone", "[http]") {
  Fixture f;
  std::vector<TestClient> clients;
  for (int i = 0; i < 10; ++i) clients.emplace_back(f.address);
  for (TestClient& client : clients) CHECK(client.call("GET", "/").status == 200);
  TestClient waiting(f.address);
  waiting.request("GET", "/");
  for (int i = 0; i < 30; ++i) {
    CHECK(TestClient(f.plain_address).call("GET", "/").body == "plain");
  }
  clients.pop_back();
  CHECK(waiting.read().body == "at once");
}

}  // namespace clickmill::http
