#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "http/message.h"

namespace clickmill::http {

/// An http:// or https:// URL taken apart.
struct Url {
  bool tls = false;
  std::string host;  ///< IPv6 without its brackets
  uint16_t port = 80;
  std::string path;  ///< empty or "/…", no "/" at its end, still percent-encoded
};
/// Errc::invalid says what is wrong; a query, a fragment or a user is.
Result<Url> parse_url(std::string_view text);

/// Sends requests without a body to one server, over a few connections that are kept
/// alive and used again. A GET that a kept connection lost is sent once more on a
/// new one; nothing else is repeated here. Over TLS the server's certificate must
/// be valid for its name by the system's authorities.
///
/// Owns one thread, `io-client`, on which all callbacks come.
/// Thread: construct, every, start, stop on one; get, send any.
class Client {
 public:
  struct Options {
    Url url;
    std::vector<std::pair<std::string, std::string>> headers;  ///< sent with each request
    size_t connections_most = 16;
    size_t waiting_most = 2'048;  ///< requests that wait for a connection
    uint64_t body_bytes_most = 64 * 1024;
    int64_t idle_ms_most = 30'000;  ///< a connection unused for longer is closed
  };
  struct Reply {
    int status = 0;
    std::string body;
  };
  /// Errc::busy: timed out, or too many wait. Errc::io: no connection, or a broken
  /// answer. Errc::closed: stopped.
  using Done = std::function<void(Result<Reply>)>;

  explicit Client(Options options);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// Asks for `{url}{path}`. `done` is called once, within about `timeout_ms`.
  void get(std::string path, int64_t timeout_ms, Done done) {
    send(Method::get, std::move(path), timeout_ms, std::move(done));
  }
  /// The same with another method: get, post or delete_.
  void send(Method method, std::string path, int64_t timeout_ms, Done done);
  /// Runs `task` on the client's thread every `interval_ms` until stop.
  void every(uint32_t interval_ms, std::function<void()> task);
  void start();
  /// Answers what is under way with Errc::closed and ends the thread.
  void stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace clickmill::http
