#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "http/message.h"
#include "http/request_parser.h"

namespace clickmill::http {

class IoThread;

/// What the connections of one listener have in common. Outlives them.
struct Site {
  BodyLimits limits;
  Handler handler;
  /// Called on every answer before it is written, refused requests' included; may be empty.
  Finish finish;
  bool v6 = false;
  std::atomic<uint32_t> open{0};  ///< connections
};

/// One client's TCP connection: reads a request, has it answered, writes the
/// answer, and so on. One request is under way at a time; those behind it wait
/// in the buffer, so answers keep the order of the requests.
///
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

/// Takes over the connected, non-blocking socket `fd`. Thread: `thread`'s.
void open_connection(IoThread& thread, Site& site, int fd, std::string peer_ip);

}  // namespace clickmill::http
