// A server behind balancers: what it reads in front of a connection, and how it leaves.

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "http/server.h"
#include "test_client.h"

namespace clickmill::http {
namespace {

using Steady = std::chrono::steady_clock;

/// One io thread. /ip tells the peer; /blocks keeps the thread until `release` is set;
/// anything else answers "here".
struct Edge {
  explicit Edge(uint32_t idle_timeout_ms = 60'000, bool proxied = false)
      : server({1, idle_timeout_ms, 100}, metrics) {
    Server::Listener listener;
    listener.address = "127.0.0.1:0";
    if (proxied)
      listener.expects_proxy_header = [](std::string_view ip) { return ip == "127.0.0.1"; };
    listener.handler = [this](RequestPtr request, Responder respond) {
      if (request->path == "/blocks") {
        blocked = true;
        blocked.notify_all();
        release.wait(false);
      }
      respond(json_response(request->path == "/ip" ? std::string(request->peer_ip) : "here"));
    };
    auto bound = server.listen(std::move(listener));
    REQUIRE(bound);
    address = *bound;
    server.start();
  }
  ~Edge() {
    let_go();
    server.stop(0);
  }
  void let_go() {
    release = true;
    release.notify_all();
  }
  bool has_metric(const std::string& line) const {
    return metrics.render().find(line + "\n") != std::string::npos;
  }

  Metrics metrics;
  std::atomic<bool> blocked{false};
  std::atomic<bool> release{false};
  Server server;
  std::string address;
};

}  // namespace

TEST_CASE("server: a PROXY header in front of a connection tells who the client is", "[http]") {
  const std::string v2("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x08\x0a\0\0\x01\xc8\x0c\0\x50",
                       28);
  const auto [header, want] = GENERATE_COPY(table<std::string, std::string>({
      {"PROXY TCP4 203.0.113.7 10.0.0.1 51212 80\r\n", "203.0.113.7"},
      {v2, "203.0.113.8"},
      {"PROXY UNKNOWN\r\n", "127.0.0.1"},
  }));
  Edge edge(60'000, true);
  TestClient client(edge.address);
  for (const char byte : header) client.send({&byte, 1});
  CHECK(client.call("GET", "/ip").body == want);
  CHECK(client.call("GET", "/ip").body == want);
  TestClient at_once(edge.address);
  at_once.send(header + "GET /ip HTTP/1.1\r\nHost: t\r\n\r\nGET /ip HTTP/1.1\r\nHost: t\r\n\r\n");
  CHECK(at_once.read().body == want);
  CHECK(at_once.read().body == want);
}

TEST_CASE("server: what should begin with a PROXY header and doesn't is closed and counted",
          "[http]") {
  Edge edge(60'000, true);
  for (int i = 0; i < 2; ++i) {
    TestClient client(edge.address);
    client.request("GET", "/ip");
    CHECK(client.read_all().empty());
  }
  CHECK(edge.has_metric("clickmill_http_proxy_headers_refused_total 2"));
}

TEST_CASE("server: a connection that sends half a PROXY header is closed like an idle one",
          "[http]") {
  Edge edge(40, true);
  TestClient client(edge.address);
  client.send("PROXY TCP4 ");
  CHECK(client.at_end());
}

TEST_CASE("server: where no PROXY header is expected, one is no request", "[http]") {
  Edge edge;
  TestClient client(edge.address);
  client.send("PROXY TCP4 203.0.113.7 10.0.0.1 51212 80\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n");
  CHECK(client.read().status == 400);
}

TEST_CASE("server: an idle connection is not closed over a request that has arrived", "[http]") {
  constexpr auto kIdle = std::chrono::milliseconds(100);
  Edge edge(static_cast<uint32_t>(kIdle.count()));
  TestClient client(edge.address);
  CHECK(client.call("GET", "/").body == "here");
  const auto answered = Steady::now();
  TestClient other(edge.address);
  other.request("GET", "/blocks");
  edge.blocked.wait(false);
  client.request("GET", "/");
  // Its thread is busy until the connection's time is up; then it finds both.
  std::this_thread::sleep_until(answered + 2 * kIdle);
  edge.let_go();
  CHECK(client.read().body == "here");
}

TEST_CASE("server: once its end is announced every answer is a connection's last", "[http]") {
  Edge edge;
  TestClient kept(edge.address);
  CHECK(kept.call("GET", "/").header("connection").empty());
  edge.server.end_connections();
  const Answer answer = kept.call("GET", "/");
  CHECK(answer.body == "here");
  CHECK(answer.header("connection") == "close");
  CHECK(kept.at_end());
  TestClient later(edge.address);
  CHECK(later.call("GET", "/").header("connection") == "close");
}

TEST_CASE("server: who has connected when it stops is served", "[http]") {
  Edge edge;
  TestClient other(edge.address);
  other.request("GET", "/blocks");
  edge.blocked.wait(false);
  // The thread that accepts is busy: these wait in the kernel.
  std::vector<TestClient> waiting;
  for (int i = 0; i < 20; ++i) waiting.emplace_back(edge.address);
  for (TestClient& client : waiting) client.request("GET", "/");
  auto stopped = std::async(std::launch::async, [&] { edge.server.stop(10'000); });
  edge.let_go();
  for (TestClient& client : waiting) {
    CHECK(client.read().body == "here");
    CHECK(client.at_end());
  }
  CHECK_FALSE(TestClient(edge.address).connected());
  stopped.get();
}

TEST_CASE("server: it says which listener's further connections wait", "[http]") {
  Metrics metrics;
  Server server({1, 60'000, 100}, metrics);
  Server::Listener listener;
  listener.name = "collector";
  listener.address = "127.0.0.1:0";
  listener.max_connections = 2;
  listener.handler = [](RequestPtr, Responder respond) { respond(json_response("here")); };
  auto bound = server.listen(std::move(listener));
  REQUIRE(bound);
  server.start();
  std::vector<TestClient> clients;
  clients.emplace_back(*bound);
  CHECK(clients[0].call("GET", "/").status == 200);
  CHECK(server.troubles().empty());
  clients.emplace_back(*bound);
  TestClient waiting(*bound);
  waiting.request("GET", "/");
  while (server.troubles().empty()) std::this_thread::yield();
  CHECK(
      server.troubles() ==
      std::vector<std::string>{"collector: as many connections as it may have; further ones wait"});
  clients.clear();
  CHECK(waiting.read().body == "here");
  while (!server.troubles().empty()) std::this_thread::yield();
}

}  // namespace clickmill::http
