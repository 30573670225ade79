#pragma once

// http/ is the only folder that knows HTTP: Beast appears in its source files and nowhere
// else. It serves (server.h, router.h), asks other servers (client.h) and says
// who is asking (auth.h); it has no idea what a click is.
// Handlers see message.h alone: a Request, and a Responder that they call once, now or
// later, from any thread. They run on io threads, and whoever blocks one delays every
// redirect of that thread: anything that may take longer than a look into memory goes to
// a pool. Promise: a request is answered once, in the order of its connection, or the
// connection is closed.
// Begin with message.h, then Server; one connection's life is tcp_connection.cpp.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "base/result.h"
#include "http/message.h"
#include "http/tls.h"

namespace clickmill::http {

/// The io threads and the listeners on them (Boost.Beast, HTTP/1.1, keep-alive,
/// pipelining answered in order). Each thread has its own event loop; a
/// connection stays on the thread that accepted it.
///
/// Bounds: header section 16 KiB (431), body per listener (413 before it is
/// read, when Content-Length tells), idle and slow connections are closed after
/// `idle_timeout_ms`, at most `max_connections` of each listener and over all, and never the
/// last third of the process's descriptors, which are others' (further ones wait in the
/// kernel's backlog, and connections idle for two seconds make room for them), large bodies
/// together. Malformed HTTP is answered 400.
/// Thread: construct, listen, start, stop on one thread; handlers run on io threads.
class Server {
 public:
  struct Options {
    unsigned io_threads = 1;
    /// Longer than proxies keep a connection (60 s with most): whoever closes first may close
    /// over a request that is on its way.
    uint32_t idle_timeout_ms = 75'000;
    uint32_t max_connections = 20'000;
    /// What the bodies on large_body_paths may hold at a time, over all listeners: 503 beyond.
    uint64_t large_bodies_bytes = 128 << 20;
  };
  struct Listener {
    std::string name = "http";  ///< in metrics
    std::string address;        ///< "127.0.0.1:8080", "[::1]:8080"; port 0 picks a free one
    uint64_t max_body_bytes = 16'384;
    /// Paths with the limit large_body_bytes instead (bulk paths).
    std::vector<std::string> large_body_paths;
    uint64_t large_body_bytes = 0;
    RefuseLarge refuse_large = nullptr;  ///< may be empty
    /// Further ones wait in the kernel's backlog, whatever the other listeners have.
    uint32_t max_connections = UINT32_MAX;
    /// Whose connections begin with a PROXY header (proxy_protocol.h), which is then believed.
    /// What begins otherwise is closed. May be empty.
    ExpectsProxyHeader expects_proxy_header = nullptr;
    Handler handler;
    Finish finish = nullptr;  ///< may be empty
  };
  Server(Options options, Metrics& metrics);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Binds. Answers the bound address ("127.0.0.1:8080"). Errc::io names address and reason.
  Result<std::string> listen(Listener listener);
  /// Encrypts the connections that come from now on, of all listeners. Thread: any.
  void set_tls(const std::shared_ptr<const TlsContext>& tls);
  /// Starts the threads and accepts.
  void start();
  /// Runs `task` on an io thread every `interval_ms` until stop (deadline sweeps).
  void every(uint32_t interval_ms, std::function<void()> task);
  /// Why further connections wait; empty: they don't. Thread: any.
  std::vector<std::string> troubles() const;
  /// From now on every answer is its connection's last (`Connection: close`), so that
  /// clients turn to others; new connections are taken as ever.
  void end_connections();
  /// Stops accepting, but for what has connected already; requests under way are answered,
  /// connections idle since their last answer closed; returns when all are gone or
  /// `drain_ms` has passed.
  void stop(uint32_t drain_ms);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// Splits "host:port" / "[v6]:port". Errc::invalid says what is wrong.
struct HostPort {
  std::string host;
  uint16_t port = 0;
  /// Whether the host is a loopback address literal or "localhost".
  bool is_loopback = false;
};
Result<HostPort> parse_host_port(std::string_view text);

}  // namespace clickmill::http
