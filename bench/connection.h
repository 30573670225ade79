#pragma once

#include <string>
#include <string_view>

#include "options.h"

namespace clickmill::bench {

/// One non-blocking HTTP/1.1 connection with one request under way at most.
/// Owns its socket. Thread: one.
class Connection {
 public:
  Connection() = default;
  ~Connection() { close(); }
  Connection(Connection&& other) noexcept;
  Connection& operator=(Connection&&) = delete;

  /// Begins to connect; false when that failed at once.
  bool open(const Address& address);
  void close();
  bool is_open() const { return fd_ >= 0; }
  bool connecting() const { return connecting_; }
  void connected() { connecting_ = false; }
  int fd() const { return fd_; }

  /// Sends a request, as much of it as the socket takes now; flush sends the
  /// rest. False when the connection broke.
  bool send(std::string_view request);
  bool flush();

  /// Takes in what has come.
  struct Received {
    int status = 0;       ///< of a whole answer; 0: none yet
    bool closed = false;  ///< no further answer will come
  };
  Received receive();

 private:
  int fd_ = -1;
  bool connecting_ = false;
  std::string unsent_;
  std::string received_;
};

/// The first whole answer at the start of `bytes`: its status, the bytes it
/// takes up, its body, and whether the sender closes after it. status 0: not
/// whole yet; -1: no HTTP/1.x. Understands Content-Length and chunks.
struct ParsedAnswer {
  int status = 0;
  size_t size = 0;
  std::string body;
  bool closes = false;
};
ParsedAnswer parse_answer(std::string_view bytes);

}  // namespace clickmill::bench
