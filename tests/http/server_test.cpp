#include "http/server.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <condition_variable>
#include <list>
#include <mutex>
#include <thread>

#include "http/router.h"
#include "test_client.h"

namespace clickmill::http {
namespace {

/// Numbered pieces, then the end; or an exception instead of the last piece.
class Pieces final : public BodyStream {
 public:
  Pieces(int count, size_t bytes, bool fails) : count_(count), bytes_(bytes), fails_(fails) {}
  bool next(std::string& out) override {
    if (fails_ && next_ + 1 == count_) throw std::runtime_error("the disk is gone");
    // Every third piece is empty, which must not end the body.
    if (next_ % 3 != 2) out = std::string(bytes_, static_cast<char>('a' + next_ % 26));
    return ++next_ < count_;
  }
  static std::string whole(int count, size_t bytes) {
    Pieces pieces(count, bytes, false);
    std::string out;
    for (bool more = true; more;) {
      std::string piece;
      more = pieces.next(piece);
      out += piece;
    }
    return out;
  }

 private:
  int count_;
  size_t bytes_;
  bool fails_;
  int next_ = 0;
};

Response streamed(int count, size_t bytes, bool fails = false) {
  Response response = json_response("start ");
  response.stream = std::make_unique<Pieces>(count, bytes, fails);
  return response;
}

/// A server with one path per behaviour under test. Requests to /held wait in
/// `held` until a test answers them.
struct Fixture {
  explicit Fixture(Server::Options options = {2, 60'000, 100}) : server(options, metrics) {
    router.add(Method::get, "/", answer_text("root"));
    router.add(Method::get, "/n/{n}",
               [](RequestPtr, const Router::Params& params, Responder respond) {
                 respond(json_response(params[0]));
               });
    const auto echo = [](RequestPtr request, const Router::Params&, Responder respond) {
      respond(json_response(std::string(request->body)));
    };
    router.add(Method::post, "/echo", echo);
    router.add(Method::post, "/bulk", echo);
    router.add(Method::get, "/throws", [](RequestPtr, const Router::Params&, Responder) {
      throw std::runtime_error("broken handler");
    });
    router.add(Method::get, "/dropped", [](RequestPtr, const Router::Params&, Responder) {});
    router.add(Method::get, "/empty", [](RequestPtr, const Router::Params&, Responder respond) {
      respond(json_response("", 204));
    });
    router.add(Method::get, "/big", answer_text(std::string(5'000'000, 'b')));
    router.add(Method::get, "/stream", [](RequestPtr, const Router::Params&, Responder respond) {
      respond(streamed(50, 20'000));
    });
    router.add(Method::get, "/torn", [](RequestPtr, const Router::Params&, Responder respond) {
      respond(streamed(5, 10, true));
    });
    router.add(Method::get, "/ip",
               [](RequestPtr request, const Router::Params&, Responder respond) {
                 respond(json_response(std::string(request->peer_ip)));
               });
    router.add(Method::get, "/held",
               [this](RequestPtr request, const Router::Params&, Responder respond) {
                 std::lock_guard lock(mutex);
                 held.emplace_back(std::move(request), std::move(respond));
                 changed.notify_all();
               });
    Server::Listener listener;
    listener.address = "127.0.0.1:0";
    listener.max_body_bytes = 1'000;
    listener.large_body_paths = {"/bulk"};
    listener.large_body_bytes = 3'000'000;
    listener.handler = [this](RequestPtr request, Responder respond) {
      router.handle(std::move(request), std::move(respond));
    };
    auto bound = server.listen(std::move(listener));
    REQUIRE(bound);
    address = *bound;
    server.start();
  }
  /// A thread of the handlers may still be there, and the members below go first.
  ~Fixture() { server.stop(0); }

  static Router::RouteHandler answer_text(std::string text) {
    return [text = std::move(text)](RequestPtr, const Router::Params&, Responder respond) {
      respond(json_response(text));
    };
  }
  TestClient connect() const { return TestClient(address); }
  /// The oldest held request, waiting for it if need be.
  std::pair<RequestPtr, Responder> take_held() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [this] { return !held.empty(); });
    auto out = std::move(held.front());
    held.erase(held.begin());
    return out;
  }
  bool has_metric(const std::string& line) const {
    return metrics.render().find(line + "\n") != std::string::npos;
  }

  Metrics metrics;
  Router router;
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::pair<RequestPtr, Responder>> held;
  Server server;
  std::string address;
};

bool is_problem(const Answer& answer, int status) {
  return answer.status == status && answer.complete &&
         answer.header("content-type") == "application/problem+json" &&
         answer.body.find("\"status\":" + std::to_string(status)) != std::string::npos;
}

}  // namespace

TEST_CASE("server: one connection serves many requests", "[http]") {
  Fixture f;
  TestClient client = f.connect();
  for (int i = 0; i < 100; ++i) {
    const Answer answer = client.call("GET", "/n/" + std::to_string(i));
    REQUIRE(answer.status == 200);
    REQUIRE(answer.body == std::to_string(i));
  }
  const Answer answer = client.call("POST", "/echo", "hello");
  CHECK(answer.body == "hello");
  CHECK(answer.header("date").size() == 29);
  CHECK(answer.header("content-length") == "5");
  CHECK(client.call("GET", "/ip").body == "127.0.0.1");
  CHECK(f.has_metric("clickmill_http_requests_total{code=\"2xx\"} 102"));
  CHECK(f.has_metric("clickmill_http_connections 1"));
}

TEST_CASE("server: HEAD has the length of GET and no body", "[http]") {
  Fixture f;
  TestClient client = f.connect();
  const Answer head = client.call("HEAD", "/");
  CHECK(head.status == 200);
  CHECK(head.header("content-length") == "4");
  CHECK(client.call("HEAD", "/stream").header("transfer-encoding") == "chunked");
  CHECK(client.call("GET", "/").body == "root");
}

TEST_CASE("server: 204 has neither body nor length", "[http]") {
  Fixture f;
  TestClient client = f.connect();
  const Answer answer = client.call("GET", "/empty");
  CHECK(answer.status == 204);
  CHECK(answer.header("content-length").empty());
  CHECK(client.call("GET", "/").body == "root");
}

TEST_CASE("server: pipelined requests are answered in order", "[http]") {
  Fixture f;
  TestClient client = f.connect();
  std::string requests;
  for (int i = 0; i < 500; ++i) {
    requests += "GET /n/" + std::to_string(i) + " HTTP/1.1\r\nHost: t\r\n\r\n";
    if (i % 100 == 50) requests += "GET /held HTTP/1.1\r\nHost: t\r\n\r\n";
  }
  client.send(requests);
  std::vector<std::string> got;
  for (int i = 0; i < 505; ++i) {
    if (i % 101 == 51) {
      // Everything before it has been answered, everything behind it waits.
      f.take_held().second(json_response("held"));
    }
    got.push_back(client.read().body);
  }
  std::vector<std::string> want;
  for (int i = 0; i < 500; ++i) {
    want.push_back(std::to_string(i));
    if (i % 100 == 50) want.push_back("held");
  }
  CHECK(got == want);
}

TEST_CASE("server: a client that pipelines but does not read is held back, not buffered for",
          "[http]") {
  Fixture f;
  TestClient client = f.connect();
  for (int i = 0; i < 20; ++i) client.request("GET", "/big");
  for (int i = 0; i < 20; ++i) {
    const Answer answer = client.read();
    REQUIRE(answer.complete);
    REQUIRE(answer.body.size() == 5'000'000);
  }
}

TEST_CASE("server: a body may come in chunks", "[http]") {
  Fixture f;
  TestClient client = f.connect();
  client.send(
      "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
      "5\r\nhello\r\n1\r\n,\r\n");
  client.send("6\r\n world\r\n0\r\n\r\n");
  CHECK(client.read().body == "hello, world");
  CHECK(client.call("GET", "/").body == "root");
}

TEST_CASE("server: a large body is taken on the large path", "[http]") {
  Fixture f;
  TestClient client = f.connect();
  const std::string body(3'000'000, 'x');
  CHECK(client.call("POST", "/bulk", body).body == body);
  CHECK(is_problem(client.call("POST", "/bulk", body + "x"), 413));
}

TEST_CASE("server: a body over the limit is refused before it is read", "[http]") {
  Fixture f;
  TestClient client = f.connect();
  CHECK(client.call("POST", "/echo", std::string(1'000, 'x')).status == 200);
  client.send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 1001\r\n\r\n");
  const Answer answer = client.read();
  CHECK(is_problem(answer, 413));
  CHECK(answer.header("connection") == "close");
  CHECK(client.at_end());
}

TEST_CASE("server: a chunked body is refused when it passes the limit", "[http]") {
  Fixture f;
  TestClient client = f.connect();
  client.send("POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
  const std::string chunk = "190\r\n" + std::string(400, 'x') + "\r\n";
  client.send(chunk + chunk + chunk);
  CHECK(is_problem(client.read(), 413));
}

TEST_CASE("server: a client that sends on after a refusal still reads the answer", "[http]") {
  Fixture f;
  TestClient client = f.connect();
  client.send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 2000000\r\n\r\n");
  client.send(std::string(2'000'000, 'x'));
  bool orderly = false;
  CHECK(is_problem(client.read(), 413));
  client.read_all(&orderly);
  CHECK(orderly);
}

TEST_CASE("server: headers over 16 KiB are refused with 431", "[http]") {
  Fixture f;
  TestClient client = f.connect();
  CHECK(client.call("GET", "/", {}, "A: " + std::string(16'000, 'a') + "\r\n").status == 200);
  client.send("GET / HTTP/1.1\r\nHost: t\r\nA: " + std::string(20'000, 'a'));
  const Answer answer = client.read();
  CHECK(is_problem(answer, 431));
  CHECK(answer.header("connection") == "close");
}

TEST_CASE("server: what is no HTTP is answered 400 and closed", "[http]") {
  const std::string text = GENERATE("\x16\x03\x01\x02\x01 hello\r\n\r\n", "GET / HTTP/1.1\r\n\r\n",
                                    "GET /\r\n\r\n", "GET / HTTP/9.9\r\nHost: t\r\n\r\n");
  Fixture f;
  TestClient client = f.connect();
  client.send(text);
  CHECK(is_problem(client.read(), 400));
  client.read_all();
  CHECK(f.has_metric("clickmill_http_requests_total{code=\"4xx\"} 1"));
}

TEST_CASE("server: who expects 100-continue gets it before the body", "[http]") {
  Fixture f;
  TestClient client = f.connect();
  for (int i = 0; i < 2; ++i) {
    client.send(
        "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    CHECK(client.read().status == 100);
    client.send("hello");
    CHECK(client.read().body == "hello");
  }
  client.send(
      "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 5000\r\nExpect: 100-continue\r\n\r\n");
  CHECK(is_problem(client.read(), 413));
}

TEST_CASE("server: HTTP/1.0 and Connection: close end the connection", "[http]") {
  Fixture f;
  const std::string text =
      GENERATE("GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
  TestClient client = f.connect();
  client.send(text);
  const Answer answer = client.read();
  CHECK(answer.body == "root");
  CHECK(answer.header("connection") == "close");
  CHECK(client.at_end());
}

TEST_CASE("server: HTTP/1.0 with keep-alive stays", "[http]") {
  Fixture f;
  TestClient client = f.connect();
  for (int i = 0; i < 3; ++i) {
    client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    CHECK(client.read().header("connection") == "keep-alive");
  }
}

TEST_CASE("server: many answers may come from another thread", "[http]") {
  Fixture f;
  std::vector<TestClient> clients;
  for (int i = 0; i < 50; ++i) clients.push_back(f.connect());
  for (int round = 0; round < 5; ++round) {
    for (TestClient& client : clients) client.request("GET", "/held");
    std::thread foreign([&] {
      for (int i = 0; i < 50; ++i) {
        auto [request, respond] = f.take_held();
        respond(json_response(std::string(request->path)));
      }
    });
    size_t good = 0;
    for (TestClient& client : clients) good += client.read().body == "/held" ? 1 : 0;
    foreign.join();
    REQUIRE(good == 50);
  }
}

TEST_CASE("server: a request may be held after its answer", "[http]") {
  Fixture f;
  TestClient client = f.connect();
  client.request("GET", "/held?first");
  auto [first, respond] = f.take_held();
  respond(json_response("1"));
  CHECK(client.read().body == "1");
  CHECK(client.call("GET", "/n/7").body == "7");
  CHECK(first->query == "first");
}

TEST_CASE("server: a dropped or failed request is answered 500", "[http]") {
  Fixture f;
  TestClient client = f.connect();
  CHECK(is_problem(client.call("GET", "/dropped"), 500));
  CHECK(is_problem(client.call("GET", "/throws"), 500));
  client.request("GET", "/held");
  { const auto dropped = f.take_held(); }
  CHECK(is_problem(client.read(), 500));
  CHECK(client.call("GET", "/").body == "root");
  CHECK(f.has_metric("clickmill_http_requests_total{code=\"5xx\"} 3"));
}

TEST_CASE("server: an answer to a client that has gone is ignored", "[http]") {
  Fixture f;
  for (int i = 0; i < 10; ++i) {
    TestClient client = f.connect();
    client.request("GET", "/held");
    auto [request, respond] = f.take_held();
    client.disconnect();
    if (i % 2 == 0) {
      respond(json_response(std::string(1'000'000, 'x')));
    } else {
      respond(streamed(100, 100'000));
    }
  }
  CHECK(f.connect().call("GET", "/").body == "root");
}

TEST_CASE("server: an answer after the server's end is ignored", "[http]") {
  RequestPtr request;
  Responder respond;
  {
    Fixture f;
    TestClient client = f.connect();
    client.request("GET", "/held");
    std::tie(request, respond) = f.take_held();
  }
  CHECK(request->path == "/held");
  respond(json_response("late"));
}

TEST_CASE("server: a long answer is streamed in chunks", "[http]") {
  Fixture f;
  TestClient client = f.connect();
  const std::string want = "start " + Pieces::whole(50, 20'000);
  for (int i = 0; i < 3; ++i) {
    client.request("GET", "/stream");
    client.request("GET", "/");  // behind it in the pipeline
    const Answer answer = client.read();
    CHECK(answer.header("transfer-encoding") == "chunked");
    CHECK(answer.header("content-length").empty());
    CHECK(answer.complete);
    CHECK((answer.body == want));
    CHECK(client.read().body == "root");
  }
}

TEST_CASE("server: a stream to HTTP/1.0 ends with the connection", "[http]") {
  Fixture f;
  TestClient client = f.connect();
  client.send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  const Answer answer = client.read();
  CHECK(answer.header("connection") == "close");
  CHECK((answer.body == "start " + Pieces::whole(50, 20'000)));
}

TEST_CASE("server: a stream that fails is cut without the last chunk", "[http]") {
  Fixture f;
  TestClient client = f.connect();
  const Answer answer = client.call("GET", "/torn");
  CHECK(answer.status == 200);
  CHECK_FALSE(answer.complete);
}

TEST_CASE("server: a stream that fails without chunks ends in a reset", "[http]") {
  Fixture f;
  TestClient client = f.connect();
  client.send("GET /torn HTTP/1.0\r\n\r\n");
  bool orderly = true;
  client.read_all(&orderly);
  CHECK_FALSE(orderly);
}

TEST_CASE("server: idle and slow clients are closed", "[http]") {
  const std::string sent =
      GENERATE("", "GET / HT", "GET / HTTP/1.1\r\nHost: t\r\nA:",
               "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nab");
  Fixture f({1, 40, 100});
  TestClient client = f.connect();
  client.send(sent);
  CHECK(client.at_end());
}

TEST_CASE("server: a slow handler is not an idle client", "[http]") {
  Fixture f({1, 10, 100});
  TestClient client = f.connect();
  client.request("GET", "/held");
  auto [request, respond] = f.take_held();
  // An idle client that comes later is closed first, by the same sweep.
  CHECK(f.connect().at_end());
  respond(json_response("slow"));
  CHECK(client.read().body == "slow");
}

TEST_CASE("server: at the connection limit the next client waits its turn", "[http]") {
  Fixture f({2, 60'000, 3});
  std::list<TestClient> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(f.connect());
  for (TestClient& client : clients) CHECK(client.call("GET", "/").status == 200);
  for (int i = 0; i < 20; ++i) {
    TestClient waiting = f.connect();
    waiting.request("GET", "/n/" + std::to_string(i));
    CHECK(f.has_metric("clickmill_http_connections 3"));
    clients.pop_front();
    CHECK(waiting.read().body == std::to_string(i));
    clients.push_back(std::move(waiting));
  }
}

TEST_CASE("server: stop answers what is under way and closes the rest", "[http]") {
  // One io thread, so that it knows of the stop once it has closed the idle connection.
  Fixture f({1, 60'000, 20'000});
  TestClient idle = f.connect();
  CHECK(idle.call("GET", "/").status == 200);
  TestClient busy = f.connect();
  busy.request("GET", "/held");
  auto [request, respond] = f.take_held();
  std::thread stopping([&] { f.server.stop(10'000); });
  CHECK(idle.at_end());
  CHECK_FALSE(f.connect().connected());
  respond(json_response("last"));
  const Answer answer = busy.read();
  CHECK(answer.body == "last");
  CHECK(answer.header("connection") == "close");
  CHECK(busy.at_end());
  stopping.join();
  CHECK(f.has_metric("clickmill_http_connections 0"));
}

TEST_CASE("server: periodic tasks go on while stop waits for what is under way", "[http]") {
  // As deadlines are swept: who is held then is answered still.
  Fixture f({1, 60'000, 20'000});
  std::atomic<bool> stopping = false;
  f.server.every(1, [&] {
    if (!stopping) return;
    std::lock_guard lock(f.mutex);
    for (auto& [request, respond] : f.held) respond(json_response("at the deadline"));
    f.held.clear();
  });
  TestClient idle = f.connect();
  CHECK(idle.call("GET", "/").status == 200);
  TestClient busy = f.connect();
  busy.request("GET", "/held");
  {
    std::unique_lock lock(f.mutex);
    f.changed.wait(lock, [&] { return !f.held.empty(); });
  }
  std::thread stopper([&] { f.server.stop(10'000); });
  // Closed by the stop, which waits for the other one now.
  CHECK(idle.at_end());
  stopping = true;
  CHECK(busy.read().body == "at the deadline");
  stopper.join();
}

TEST_CASE("server: stop does not wait longer than it was told", "[http]") {
  Fixture f;
  TestClient busy = f.connect();
  busy.request("GET", "/held");
  auto held = f.take_held();
  f.server.stop(20);
  CHECK(busy.at_end());
  f.server.stop(20);
}

TEST_CASE("server: periodic tasks run on an io thread, even after one has failed", "[http]") {
  std::atomic<int> runs = 0;
  std::atomic<bool> enough = false;
  Fixture f;
  f.server.every(1, [&] {
    if (++runs == 3) {
      enough = true;
      enough.notify_all();
    }
    throw std::runtime_error("task");
  });
  enough.wait(false);
  f.server.stop(0);
  CHECK(runs >= 3);
}

TEST_CASE("server: an address that is taken is an error that names it", "[http]") {
  Fixture f;
  Metrics metrics;
  Server second({}, metrics);
  Server::Listener listener;
  listener.address = f.address;
  const auto bound = second.listen(listener);
  REQUIRE_FALSE(bound);
  CHECK(bound.error().code() == Errc::io);
  CHECK(bound.error().message().find(f.address) != std::string::npos);
  listener.address = "nonsense";
  CHECK(second.listen(listener).error().code() == Errc::invalid);
}

TEST_CASE("server: one server has several listeners with their own handlers", "[http]") {
  Metrics metrics;
  Server server({1, 60'000, 100}, metrics);
  std::vector<std::string> addresses;
  for (const std::string name : {"one", "two"}) {
    Server::Listener listener;
    listener.address = "127.0.0.1:0";
    listener.handler = [name](RequestPtr, Responder respond) { respond(json_response(name)); };
    auto bound = server.listen(std::move(listener));
    REQUIRE(bound);
    addresses.push_back(*bound);
  }
  server.start();
  CHECK(TestClient(addresses[0]).call("GET", "/").body == "one");
  CHECK(TestClient(addresses[1]).call("GET", "/").body == "two");
}

}  // namespace clickmill::http
