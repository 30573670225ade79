#include "peer/connection.h"

#include <exception>
#include <utility>

#include "base/wakes.h"

namespace clickmill::peer {
Connection::Connection(Owner& owner, std::shared_ptr<Socket> socket, std::string called,
                       Channel channel, uint64_t link)
    : owner_(owner),
      socket_(std::move(socket)),
      called_(std::move(called)),
      channel_(channel),
      link_(link),
      made_ms_(Sockets::now_ms()),
      heard_ms_(made_ms_) {}

const Hello& Connection::peer() const {
  static const Hello nobody;
  return handshake_ ? handshake_->peer() : nobody;
}

std::optional<int64_t> Connection::write_moved_ms() const {
  if (!writing_) return std::nullopt;
  return socket_->write_moved_ms() + forgiven_ms_;
}

void Connection::forgive(int64_t paused_ms) {
  heard_ms_ += paused_ms;
  forgiven_ms_ += paused_ms;
}

void Connection::on_open() {
  handshake_.emplace(owner_.begin(*this));
  send(handshake_->take_output());
  socket_->read();
}

void Connection::on_bytes(std::string_view bytes) try {
  heard_ms_ = Sockets::now_ms();
  if (stage_ == Stage::shaking) {
    shake(bytes);
  } else if (stage_ == Stage::flowing) {
    take_frames(bytes);
  }
  // Ending: what still comes is of no interest, only that the other end has read to the end.
  if (stage_ == Stage::ending) socket_->read();
} catch (const std::exception& escaped) {
  // Of the owner's, or no memory. Reading on would leave out a frame.
  end({std::string("what came could not be taken: ") + escaped.what(), Failure::broken, {}});
}

void Connection::shake(std::string_view bytes) {
  if (const Status spoken = handshake_->step(bytes); !spoken)
    return end({spoken.error().message(), Failure::nonsense, {}});
  send(handshake_->take_output());
  if (const auto& refused = handshake_->refused()) {
    const Ending ending{refused->text, Failure::broken, refused};
    stage_ = Stage::ending;
    if (!writing_) socket_->end_output();
    return owner_.on_ended(*this, ending);
  }
  if (!handshake_->done()) return socket_->read();
  stage_ = Stage::proven;
  early_ = bytes;
  reader_.emplace(channel(), handshake_->key_in(), handshake_->protocol());
  writer_.emplace(handshake_->key_out(), handshake_->protocol());
  owner_.on_proven(*this);
}

void Connection::flow() {
  stage_ = Stage::flowing;
  heard_ms_ = Sockets::now_ms();
  take_frames(std::exchange(early_, {}));
  flush();
}

void Connection::take_frames(std::string_view bytes) {
  const LaterWakes then;
  while (true) {
    auto frame = reader_->next(bytes);
    if (!frame) return end({frame.error().message(), Failure::nonsense, {}});
    if (!*frame) break;
    owner_.on_frame(*this, **std::move(frame));
    if (stage_ != Stage::flowing) return;
  }
  socket_->read();
}

void Connection::flush() {
  if (stage_ != Stage::flowing || writing_) return;
  std::vector<Frame> frames = owner_.next_frames(*this);
  if (frames.empty()) return;
  std::vector<std::string> pieces;
  for (Frame& frame : frames) writer_->write(std::move(frame), pieces);
  writing_ = true;
  forgiven_ms_ = 0;
  socket_->write(std::move(pieces));
}

void Connection::send(std::string bytes) {
  if (bytes.empty()) return;
  waiting_ += bytes;
  if (std::exchange(writing_, true)) return;
  socket_->write({std::exchange(waiting_, {})});
}

void Connection::on_written() {
  writing_ = false;
  if (!waiting_.empty()) return send(std::exchange(waiting_, {}));
  if (stage_ == Stage::ending) return socket_->end_output();
  flush();
}

void Connection::on_failed(const std::string& why, Failure failure) {
  if (stage_ == Stage::ending) return close();
  end({why, failure, {}});
}

void Connection::end(const Ending& ending) {
  if (stage_ == Stage::closed) return;
  const auto self = shared_from_this();
  stage_ = Stage::closed;
  owner_.on_ended(*this, ending);
  socket_->close();
}

void Connection::close() {
  stage_ = Stage::closed;
  socket_->close();
}

}  // namespace clickmill::peer
