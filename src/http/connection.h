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
  /// Waits for the client since before `now_ms` allows.
  virtual bool expired(int64_t now_ms) const = 0;
  /// Closes if nothing is under way, else after the next answer.
  virtual void drain() = 0;
  virtual void close() = 0;
};

}  // namespace clickmill::http
