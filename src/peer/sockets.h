#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace clickmill::peer {

/// How a connection ended.
enum class Failure : uint8_t {
  broken,          ///< or closed, or never made
  nobody_listens,  ///< the machine answered, and refused
  nonsense,        ///< what came makes no sense
};

/// Told by a Socket, on the peer thread. Each `on_…` may close the socket.
class SocketUser {
 public:
  virtual ~SocketUser() = default;
  /// Connected or accepted, and TLS agreed on.
  virtual void on_open() = 0;
  /// The answer to one read().
  virtual void on_bytes(std::string_view bytes) = 0;
  /// The answer to one write().
  virtual void on_written() = 0;
  /// Once, and the last: it is closed.
  virtual void on_failed(const std::string& why, Failure failure) = 0;
};

/// One TCP connection, or TLS over it. Thread: peer.
class Socket {
 public:
  virtual ~Socket() = default;
  /// Connects (or takes what was accepted); on_open or on_failed follows.
  virtual void open(std::weak_ptr<SocketUser> user) = 0;
  /// One at a time.
  virtual void read() = 0;
  /// All of it, as one stream of bytes; one at a time.
  virtual void write(std::vector<std::string> pieces) = 0;
  /// Monotonic time at which the kernel last took bytes of the present write, or it began.
  virtual int64_t write_moved_ms() const = 0;
  /// The peer reads to the end of what was written, then sees the end.
  virtual void end_output() = 0;
  /// Nothing is told any more.
  virtual void close() = 0;
  /// Host and port of the other end, once open.
  virtual std::string remote() const = 0;
  /// 32 bytes that only the two ends of this TLS connection know; empty without TLS.
  virtual std::string tls_binding() const = 0;
};

/// PEM files. Both ends show a certificate that `ca` has signed.
struct Tls {
  std::string cert;
  std::string key;
  std::string ca;
};

/// The thread `peer`, its event loop, and sockets on it.
/// Thread: construct, use_tls, listen, start, stop on one; post any; the rest peer.
class Sockets {
 public:
  Sockets();
  ~Sockets();
  Sockets(const Sockets&) = delete;
  Sockets& operator=(const Sockets&) = delete;

  /// All sockets speak TLS. Errc::invalid names the file that does not serve.
  Status use_tls(const Tls& tls);
  /// "127.0.0.1:8082"; port 0 picks a free one. Answers the bound address.
  Result<std::string> listen(const std::string& address);
  /// `accepted` gets sockets that are not open yet, `sweep` is called every `sweep_ms`; both on
  /// the thread that begins here.
  void start(std::function<void(std::shared_ptr<Socket>)> accepted, uint32_t sweep_ms,
             std::function<void()> sweep);
  /// Runs `last` on the thread, then ends it.
  void stop(std::function<void()> last);
  void post(std::function<void()> task);

  /// A host may have several addresses: `turn` says which to try first, so that one that swallows
  /// everything does not take the time of all the others for ever.
  std::shared_ptr<Socket> to(const std::string& host, uint16_t port, size_t turn);
  /// Never TLS: only to see whether somebody listens.
  std::shared_ptr<Socket> plain_to(const std::string& host, uint16_t port, size_t turn);
  static int64_t now_ms();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace clickmill::peer
