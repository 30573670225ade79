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

/// Sends requests to one server, over a few connections that are kept alive and used
/// again. A GET that a kept connection lost is sent once more on a new one; nothing else
/// is repeated here. Over TLS the server's certificate must be valid for its name by the
/// system's authorities, or by those of a file.
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
    std::string ca_file;            ///< PEM; empty: the system's authorities
    std::string reply_header;       ///< the one that replies are wanted with
  };
  struct Reply {
    int status = 0;
    std::string body;
    std::string header = {};  ///< value of Options::reply_header
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
  /// The same with another method: get, post or delete_; a post may have a body.
  void send(Method method, std::string path, int64_t timeout_ms, Done done) {
    send(method, std::move(path), nullptr, timeout_ms, std::move(done));
  }
  void post(std::string path, std::shared_ptr<const std::string> body, int64_t timeout_ms,
            Done done) {
    send(Method::post, std::move(path), std::move(body), timeout_ms, std::move(done));
  }
  /// Runs `task` on the client's thread every `interval_ms` until stop.
  void every(uint32_t interval_ms, std::function<void()> task);
  void start();
  /// Answers what is under way with Errc::closed and ends the thread.
  void stop();

 private:
  void send(Method method, std::string path, std::shared_ptr<const std::string> body,
            int64_t timeout_ms, Done done);
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// Whether authorities can be read from the file. Errc::invalid: why not.
Status check_ca_file(const std::string& path);

}  // namespace clickmill::http
