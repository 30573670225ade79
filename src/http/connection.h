#pragma once

#include <cstdint>

#include "http/message.h"

namespace clickmill::http {

/// One client's connection, as its IoThread sees it (tcp_connection.h has the other side).
/// Owned by its IoThread while open, and by whoever still has to answer.
/// Thread: io (its own), but the destructor any.
class Connection {
 public:
  virtual ~Connection() = default;
  /// The answer to the request under way. Ignored once closed.
  virtual void answer(Response&& response) = 0;
  /// Waits for the client since before `now_ms` allows. Never when the next request has
  /// arrived and only stands in the socket yet.
  virtual bool expired(int64_t now_ms) const = 0;
  /// Closes after the next answer; or now, if nothing is under way and it is not so young
  /// that its first request may be.
  virtual void drain() = 0;
  virtual void close() = 0;
};

}  // namespace clickmill::http
