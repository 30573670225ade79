#include "http/tls.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <string>

#include "base/temporary_directory.h"
#include "certificate.h"
#include "http/server.h"
#include "test_client.h"

namespace clickmill::http {
namespace {

/// A blocking client that believes any certificate.
class TlsClient {
 public:
  explicit TlsClient(const std::string& address, const std::string& in_front = {}) {
    const size_t colon = address.rfind(':');
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(colon + 1))));
    ::inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr);
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const timeval limit{10, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    REQUIRE(::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0);
    REQUIRE(::send(fd_, in_front.data(), in_front.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(in_front.size()));
    context_ = SSL_CTX_new(TLS_client_method());
    ssl_ = SSL_new(context_);
    SSL_set_fd(ssl_, fd_);
    REQUIRE(SSL_connect(ssl_) == 1);
  }
  ~TlsClient() {
    SSL_free(ssl_);
    SSL_CTX_free(context_);
    ::close(fd_);
  }
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;

  void send(const std::string& text) {
    REQUIRE(SSL_write(ssl_, text.data(), static_cast<int>(text.size())) ==
            static_cast<int>(text.size()));
  }
  /// The body of the next answer.
  std::string read() {
    while (rest_.find("\r\n\r\n") == std::string::npos) REQUIRE(fill());
    const size_t end = rest_.find("\r\n\r\n") + 4;
    const size_t length_at = rest_.find("Content-Length: ");
    REQUIRE(length_at < end);
    const size_t size = std::stoul(rest_.substr(length_at + 16));
    while (rest_.size() < end + size) REQUIRE(fill());
    const std::string body = rest_.substr(end, size);
    rest_.erase(0, end + size);
    return body;
  }
  std::string get(const std::string& path, const std::string& headers = {}) {
    send("GET " + path + " HTTP/1.1\r\nHost: t\r\n" + headers + "\r\n");
    return read();
  }
  /// Whether the server has closed in good order.
  bool at_end() {
    char byte = 0;
    return rest_.empty() && SSL_read(ssl_, &byte, 1) <= 0 &&
           (SSL_get_shutdown(ssl_) & SSL_RECEIVED_SHUTDOWN) != 0;
  }
  std::string protocol() const { return SSL_get_version(ssl_); }
  int64_t days_left() const {
    X509* const certificate = SSL_get1_peer_certificate(ssl_);
    int days = 0;
    int seconds = 0;
    ASN1_TIME_diff(&days, &seconds, nullptr, X509_get0_notAfter(certificate));
    X509_free(certificate);
    return days;
  }

 private:
  bool fill() {
    char buffer[16384];
    const int size = SSL_read(ssl_, buffer, sizeof buffer);
    if (size > 0) rest_.append(buffer, static_cast<size_t>(size));
    return size > 0;
  }
  int fd_;
  SSL_CTX* context_;
  SSL* ssl_;
  std::string rest_;
};

struct Fixture {
  explicit Fixture(bool proxied = false) : server({1, 60'000, 100}, metrics) {
    Server::Listener listener;
    listener.address = "127.0.0.1:0";
    listener.max_body_bytes = 3'000'000;
    if (proxied) listener.expects_proxy_header = [](std::string_view) { return true; };
    listener.handler = [](RequestPtr request, Responder respond) {
      if (request->path == "/big") return respond(json_response(std::string(5'000'000, 'b')));
      if (request->path == "/ip") return respond(json_response(std::string(request->peer_ip)));
      respond(json_response(std::string(request->body.empty() ? request->path : request->body)));
    };
    auto bound = server.listen(std::move(listener));
    REQUIRE(bound);
    address = *bound;
    use_new(10);
    server.start();
  }
  ~Fixture() { server.stop(0); }
  void use_new(int64_t days) {
    write_certificate(cert, key, days);
    auto loaded = TlsContext::load(cert, key);
    REQUIRE(loaded);
    server.set_tls(*loaded);
  }
  bool has_metric(const std::string& line) const {
    return metrics.render().find(line + "\n") != std::string::npos;
  }
  TemporaryDirectory directory;
  std::string cert = directory.path() + "/cert.pem";
  std::string key = directory.path() + "/key.pem";
  Metrics metrics;
  Server server;
  std::string address;
};

}  // namespace

TEST_CASE("tls: a connection serves requests of every size, in order", "[http]") {
  Fixture f;
  TlsClient client(f.address);
  CHECK(client.protocol() == "TLSv1.3");
  for (int i = 0; i < 50; ++i)
    CHECK(client.get("/" + std::to_string(i)) == "/" + std::to_string(i));
  const std::string body(3'000'000, 'x');
  client.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 3000000\r\n\r\n" + body);
  CHECK(client.read() == body);
  std::string pipelined;
  for (int i = 0; i < 200; ++i)
    pipelined += "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: t\r\n\r\n";
  client.send(pipelined);
  for (int i = 0; i < 200; ++i) REQUIRE(client.read() == "/" + std::to_string(i));
  CHECK(client.get("/big").size() == 5'000'000);
  CHECK(client.get("/last", "Connection: close\r\n") == "/last");
  CHECK(client.at_end());
}

TEST_CASE("tls: what is no TLS is closed and counted, and harms nobody", "[http]") {
  Fixture f;
  TlsClient other(f.address);
  for (const std::string text :
       {"GET / HTTP/1.1\r\nHost: t\r\n\r\n", "\x16\x03\x01\x02\x00 and so on, which is no hello"}) {
    TestClient client(f.address);
    client.send(text + std::string(20'000, 'x'));
    CHECK(client.read_all().find("HTTP/") == std::string::npos);
  }
  CHECK(other.get("/still") == "/still");
  CHECK(f.has_metric("clickmill_http_tls_handshakes_failed_total 2"));
}

TEST_CASE("tls: a new certificate is shown to new connections, the others go on", "[http]") {
  Fixture f;
  TlsClient before(f.address);
  CHECK(before.days_left() >= 9);
  CHECK(before.days_left() < 11);
  f.use_new(50);
  TlsClient after(f.address);
  CHECK(after.days_left() >= 49);
  CHECK(before.get("/a") == "/a");
  CHECK(after.get("/b") == "/b");
}

TEST_CASE("tls: a PROXY header stands in front of the encryption", "[http]") {
  Fixture f(true);
  TlsClient client(f.address, "PROXY TCP4 203.0.113.7 10.0.0.1 51212 443\r\n");
  CHECK(client.get("/ip") == "203.0.113.7");
}

TEST_CASE("tls: files that can't be used are named with the reason", "[http]") {
  const TemporaryDirectory directory;
  const auto path = [&](const char* name) { return directory.path() + "/" + name; };
  write_certificate(path("cert"), path("key"));
  write_certificate(path("other_cert"), path("other_key"));
  std::ofstream(path("text")) << "no PEM\n";
  const auto error = [&](const char* cert, const char* key) {
    auto loaded = TlsContext::load(path(cert), path(key));
    REQUIRE_FALSE(loaded);
    return loaded.error().message();
  };
  CHECK_THAT(error("none", "key"), Catch::StartsWith(path("none") + ": holds no certificate"));
  CHECK_THAT(error("text", "key"), Catch::StartsWith(path("text") + ": holds no certificate"));
  CHECK_THAT(error("cert", "none"), Catch::StartsWith(path("none") + ": holds no key"));
  CHECK_THAT(error("cert", "text"), Catch::StartsWith(path("text") + ": holds no key"));
  CHECK_THAT(error("cert", "other_key"), Catch::StartsWith(path("other_key") + ": "));
  auto loaded = TlsContext::load(path("cert"), path("key"));
  REQUIRE(loaded);
  CHECK((*loaded)->expires_s() > 1'700'000'000);
}

}  // namespace clickmill::http
