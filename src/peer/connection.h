#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "peer/frame.h"
#include "peer/handshake.h"
#include "peer/sockets.h"

namespace clickmill::peer {

/// One of a link's two connections, or what a stranger opened: a socket, its handshake, then
/// frames. Reads nothing between the handshake and flow(), so that no frame comes before there
/// is a link.
/// Thread: peer.
class Connection final : public SocketUser, public std::enable_shared_from_this<Connection> {
 public:
  struct Ending {
    std::string why;
    Failure failure = Failure::broken;
    std::optional<Handshake::Refused> refused;
  };
  class Owner {
   public:
    virtual ~Owner() = default;
    virtual Handshake begin(Connection& connection) = 0;
    /// The handshake is done: flow() or close() is to follow, now or later.
    virtual void on_proven(Connection& connection) = 0;
    virtual void on_frame(Connection& connection, Frame&& frame) = 0;
    /// What is to be written next; nothing: flush() follows when there is something.
    virtual std::vector<Frame> next_frames(Connection& connection) = 0;
    /// Once, unless the owner closed it. A refusal may still be on its way out: the connection
    /// then lives on until it has been read, or the owner closes it.
    virtual void on_ended(Connection& connection, const Ending& ending) = 0;
  };
  /// `called`: the node_id that this node opens it to; empty: it came from outside.
  Connection(Owner& owner, std::shared_ptr<Socket> socket, std::string called, Channel channel,
             uint64_t link);

  void open() { socket_->open(weak_from_this()); }
  void flow();
  void flush();
  void close();

  bool from_outside() const { return called_.empty(); }
  const std::string& called() const { return called_; }
  /// As asked for, or, from outside, as its hello said.
  Channel channel() const { return handshake_ ? handshake_->channel() : channel_; }
  uint64_t link() const { return handshake_ ? handshake_->link() : link_; }
  /// What the other end says of itself; true once proven.
  const Hello& peer() const;
  bool proven() const { return handshake_ && handshake_->proven(); }
  bool done() const { return handshake_ && handshake_->done(); }
  bool shaking() const { return stage_ == Stage::shaking; }
  bool closed() const { return stage_ == Stage::closed; }
  std::string remote() const { return socket_->remote(); }
  std::string tls_binding() const { return socket_->tls_binding(); }
  /// Monotonic: made; last bytes came (or flow began); the present write last moved, if any.
  int64_t made_ms() const { return made_ms_; }
  int64_t heard_ms() const { return heard_ms_; }
  std::optional<int64_t> write_moved_ms() const;
  /// The process stood still for so long: nothing of it was the other's silence.
  void forgive(int64_t paused_ms);

 private:
  enum class Stage : uint8_t { shaking, proven, flowing, ending, closed };
  void on_open() override;
  void on_bytes(std::string_view bytes) override;
  void on_written() override;
  void on_failed(const std::string& why, Failure failure) override;
  void shake(std::string_view bytes);
  void take_frames(std::string_view bytes);
  void send(std::string bytes);
  void end(const Ending& ending);

  Owner& owner_;
  const std::shared_ptr<Socket> socket_;
  const std::string called_;
  const Channel channel_;
  const uint64_t link_;
  const int64_t made_ms_;
  int64_t heard_ms_;
  int64_t forgiven_ms_ = 0;  ///< of the present write
  Stage stage_ = Stage::shaking;
  std::optional<Handshake> handshake_;
  std::optional<FrameReader> reader_;
  std::optional<FrameWriter> writer_;
  std::string early_;    ///< came behind the handshake
  std::string waiting_;  ///< of the handshake, while a write is under way
  bool writing_ = false;
};

}  // namespace clickmill::peer
