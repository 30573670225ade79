#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/logging.h"
#include "base/result.h"
#include "peer/outbox.h"
#include "peer/sockets.h"
#include "peer/transport.h"

namespace clickmill::peer {

/// Frames over TCP or TLS, a link of two connections to each peer, opened by the lower node_id
/// and made again for ever. A link is up when both connections have been proved; it is given up
/// when nothing comes on the fast one for a while, so its owner sends beats.
///
/// Owns one thread, `peer`, on which the Receiver and `self` are called. Of two whose link is
/// down, the one that waits to be called looks now and then whether the other's machine
/// answers and nobody listens, so that it too learns of a process that died.
/// Memory for each peer: what an Outbox holds, one batch being written and one frame being read
/// for each connection.
/// Errors: whatever a peer or a stranger sends ends a connection; on_link_down and the log,
/// with one line a minute for each peer and kind of news, say why.
/// Thread: construct, start, stop on one; send, counts, address any.
class Links final : public Transport {
 public:
  struct Peer {
    std::string node_id;
    std::string host;
    uint16_t port = 0;
  };
  struct Options {
    std::string node_id;
    /// Asked at each handshake, since ids are learnt while running. Its node_id is not used.
    std::function<Hello()> self;
    std::string listen;       ///< "0.0.0.0:8082"; empty: nobody can call
    std::vector<Peer> peers;  ///< this node's own entry is passed over
    std::string secret;
    std::optional<Tls> tls;

    int64_t handshake_ms = 2'000;  ///< from the first step to both connections proved
    int64_t silence_ms = 3'000;    ///< a fast connection on which nothing comes is dead
    int64_t stall_ms = 10'000;     ///< one that takes nothing, too
    int64_t retry_ms_first = 100, retry_ms_most = 2'000;
    int64_t refused_ms_first = 1'000, refused_ms_most = 10'000;
    uint32_t sweep_ms = 50;
    size_t half_open_most = 64;  ///< connections from outside in handshake; the oldest goes
    int64_t line_every_ms = 60'000;
    /// Where lines go; empty: the log.
    std::function<void(LogLevel, const std::string&)> log;
  };

  Links(Options options, Receiver& receiver);
  ~Links() override;
  Links(const Links&) = delete;
  Links& operator=(const Links&) = delete;

  /// Listens and begins to call. Errc::invalid, Errc::io name what does not serve.
  Status start();
  /// Ends the links and the thread; nothing is told any more.
  void stop();
  /// As bound, once started.
  const std::string& address() const;
  bool send(const std::string& to, Lane lane, std::string frame) override;
  void meet_again(const std::string& node) override;
  const Counts& counts() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace clickmill::peer
