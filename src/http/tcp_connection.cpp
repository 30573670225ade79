#include "http/tcp_connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <cerrno>
#include <chrono>
#include <exception>
#include <limits>
#include <optional>
#include <utility>

#include "base/logging.h"
#include "http/proxy_protocol.h"
#include "http/wire.h"

namespace clickmill::http {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
constexpr size_t kReadBytes = 4 * 1024;
constexpr size_t kBodyReadBytes = 64 * 1024;
/// Larger buffers are given back when they are empty.
constexpr size_t kKeptBytes = 64 * 1024;
/// Answers to pipelined requests are gathered up to here, then written.
constexpr size_t kGatherBytes = 64 * 1024;
/// A body must grow by this much in every idle timeout.
constexpr uint64_t kBodyStepBytes = 64 * 1024;
/// The first request of a connection so young is on its way.
constexpr int64_t kFreshMs = 500;
/// How long and how much is read and thrown away after a refused request, so
/// that the client gets to read the answer before a reset wipes it out.
constexpr int64_t kLingerMs = 2'000;
constexpr uint64_t kLingerBytes = 32 * 1024 * 1024;

/// A body in the making, shared with the thread that asks for the next piece:
/// the connection may close meanwhile.
struct Streaming {
  std::unique_ptr<BodyStream> source;
  std::string piece;
  bool more = true;
  bool failed = false;
  bool chunked = true;

  void pull() {
    try {
      piece.clear();
      more = source->next(piece);
    } catch (const std::exception& escaped) {
      log_error("http", std::string("a streamed answer failed: ") + escaped.what());
      failed = true;
    }
  }
};

class TcpConnection final : public Connection, public std::enable_shared_from_this<TcpConnection> {
 public:
  TcpConnection(IoThread& thread, Site& site, int fd, std::string peer_ip)
      : thread_(thread),
        site_(site),
        answers_(thread.answers()),
        awaits_proxy_(site.expects_proxy_header && site.expects_proxy_header(peer_ip)),
        peer_ip_(awaits_proxy_ ? peer_ip : std::string()),
        parser_(site.limits, std::move(peer_ip)) {
    socket_.emplace(thread.context());
    error_code ec;
    socket_->assign(site.v6 ? tcp::v6() : tcp::v4(), fd, ec);
    if (ec) ::close(fd);
    failed_to_open_ = static_cast<bool>(ec);
  }

  void start() {
    thread_.add(shared_from_this());
    if (failed_to_open_) return close();
    const int on = 1;
    ::setsockopt(socket_->native_handle(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    await_client();
    if (const auto tls = site_.tls()) tls_.emplace(*tls);
    advance();
  }

  void answer(Response&& response) override {
    if (closed_ || !busy_ || streaming_) return;
    const std::chrono::nanoseconds took = std::chrono::steady_clock::now() - handed_out_;
    site_.answer_took->add_ns(took.count());
    write_answer(std::move(response));
    // Inside the handler the loop that called it goes on when it returns.
    if (!in_handler_) advance();
  }

  bool expired(int64_t now_ms) const override {
    // What has arrived is a request, however late this thread gets to read it.
    return now_ms >= deadline_ms_ && !(between_requests() && arrived());
  }

  void drain() override {
    const bool fresh = !answered_ && monotonic_ms() < opened_ms_ + kFreshMs;
    if (!fresh && idle()) close();
  }

  void close() override {
    if (closed_) return;
    closed_ = true;
    deadline_ms_ = kNever;
    const auto self = shared_from_this();
    // Now, not in the destructor: that may run on any thread, even after the io_context's end.
    socket_.reset();
    --site_.open;
    thread_.remove(*this);
  }

 private:
  /// Where the connection's end is the body's end, only a reset says that something is missing.
  void reset() {
    error_code ec;
    socket_->set_option(asio::socket_base::linger(true, 0), ec);
    // The destructor would take the option back.
    socket_->close(ec);
    close();
  }

  /// Takes requests from the buffer and hands them out, until one has to wait:
  /// for its answer, for more bytes, or for the client to read what was written.
  void advance() {
    if (awaits_proxy_ && !closed_ && !take_proxy_header()) return;
    while (!closed_ && !busy_ && !writing_ && !lingering_) {
      if (last_answer_) return finish();
      if (out_.size() >= kGatherBytes) {
        flush();
        continue;
      }
      size_t used = 0;
      const auto outcome = parser_.parse(buffered(), used);
      in_.consume(used);
      if (outcome == RequestParser::Outcome::need_more) return read_more();
      if (outcome == RequestParser::Outcome::failed) {
        refuse();
      } else {
        dispatch();
      }
    }
    // Answers to earlier requests must not wait for this one's.
    flush();
  }

  /// False: the rest of it must come first, or it was wrong.
  bool take_proxy_header() {
    auto header = read_proxy_header(buffered());
    if (header.outcome == ProxyHeader::Outcome::need_more) {
      read_more();
      return false;
    }
    if (header.outcome == ProxyHeader::Outcome::failed) {
      // Whoever sent it speaks another protocol, in which no answer of ours is one.
      thread_.shared().proxy_headers_refused.add();
      if (!site_.proxy_fault_said.exchange(true)) {
        log_warn("http", "a PROXY header from " + peer_ip_ + " can't be read: " + header.fault +
                             "; its connection is closed, and so are others like it");
      }
      close();
      return false;
    }
    awaits_proxy_ = false;
    in_.consume(header.used);
    if (!header.source_ip.empty()) parser_.set_peer_ip(std::move(header.source_ip));
    if (!tls_) return true;
    const std::string encrypted(buffered());
    in_.consume(in_.size());
    return decrypt(encrypted);
  }

  /// Nothing is under way. What has arrived but is not read yet counts as a request.
  bool idle() const { return between_requests() && !arrived(); }

  bool between_requests() const {
    return !closed_ && !busy_ && !writing_ && !lingering_ && !parser_.started() && out_.empty() &&
           encrypted_.empty() && in_.size() == 0;
  }
  bool arrived() const {
    error_code ec;
    return socket_->available(ec) != 0;
  }

  std::string_view buffered() const {
    return {static_cast<const char*>(in_.cdata().data()), in_.size()};
  }

  void dispatch() {
    busy_ = true;
    deadline_ms_ = kNever;
    in_handler_ = true;
    handed_out_ = std::chrono::steady_clock::now();
    try {
      site_.handler(parser_.request(), Responder([self = shared_from_this()](Response&& response) {
                      self->respond(std::move(response));
                    }));
    } catch (const std::exception& escaped) {
      // Its Responder has answered 500 on the way out.
      log_error("http", std::string("a handler failed: ") + escaped.what());
    } catch (...) {
      log_error("http", "a handler failed with something that is no exception");
    }
    in_handler_ = false;
  }

  /// Thread: any. Answers of other connections' handlers take the queue as well:
  /// directly, one connection's handler would run inside another's.
  void respond(Response&& response) {
    if (answers_->here() && in_handler_) return answer(std::move(response));
    AnswerBox::push(answers_, shared_from_this(), std::move(response));
  }

  void refuse() {
    last_answer_ = true;
    request_unread_ = true;
    write_answer(parser_.failure());
  }

  void write_answer(Response&& response) {
    last_answer_ = last_answer_ || thread_.ending() || !parser_.keep_alive();
    answered_ = true;
    thread_.shared().count(response.status);
    if (site_.finish) site_.finish(*parser_.request(), response);
    const int minor = parser_.http_minor();
    const bool head_only = parser_.method() == Method::head;
    const Framing framing = framing_of(response, minor);
    if (framing == Framing::until_close) last_answer_ = true;
    append_head(out_, response, framing, last_answer_, minor);
    const bool has_body = !head_only && framing != Framing::none;
    if (has_body && response.stream) return start_stream(std::move(response), framing);
    if (has_body) out_ += response.body;
    next_request();
  }

  static Framing framing_of(const Response& response, int minor) {
    if (response.status < 200 || response.status == 204 || response.status == 304) {
      return Framing::none;
    }
    if (!response.stream) return Framing::length;
    return minor == 0 ? Framing::until_close : Framing::chunked;
  }

  void next_request() {
    busy_ = false;
    parser_.next();
    continue_sent_ = false;
    body_mark_ = 0;
    request_since_ms_ = kNever;
    await_client();
  }

  // Streaming: busy_ stays set; pull on a helper thread, write, pull, …

  void start_stream(Response&& response, Framing framing) {
    busy_ = true;
    streaming_ = std::make_shared<Streaming>();
    streaming_->source = std::move(response.stream);
    streaming_->chunked = framing == Framing::chunked;
    append_piece(response.body);
    flush();
    if (!closed_ && !writing_) pull();
  }

  void pull() {
    deadline_ms_ = kNever;
    asio::post(*thread_.shared().streams,
               [self = shared_from_this(), state = streaming_, &context = thread_.context()] {
                 state->pull();
                 asio::post(context, [self] { self->on_piece(); });
               });
  }

  void on_piece() {
    if (closed_) return;
    // A cut without the last chunk is how the client learns that something is missing.
    if (streaming_->failed) return streaming_->chunked ? close() : reset();
    append_piece(streaming_->piece);
    if (!streaming_->more) {
      if (streaming_->chunked) out_ += kLastChunk;
      streaming_.reset();
      next_request();
      return advance();
    }
    flush();
    if (!closed_ && !writing_) pull();
  }

  void append_piece(std::string_view piece) {
    if (streaming_->chunked) {
      append_chunk(out_, piece);
    } else {
      out_ += piece;
    }
  }

  // Reading.

  void read_more() {
    if (parser_.expects_continue() && !continue_sent_) {
      continue_sent_ = true;
      out_ += "HTTP/1.1 100 Continue\r\n\r\n";
    }
    flush();
    if (closed_ || writing_ || reading_) return;
    if (thread_.draining() && answered_ && idle()) return close();
    if (in_.size() == 0 && in_.capacity() > kKeptBytes && !parser_.header_done()) in_ = {};
    await_request();
    reading_ = true;
    const auto room = in_.prepare(parser_.header_done() ? kBodyReadBytes : kReadBytes);
    socket_->async_read_some(room, [self = shared_from_this(), room](error_code ec, size_t size) {
      self->on_read(ec, {static_cast<const char*>(room.data()), size});
    });
  }

  void on_read(error_code ec, std::string_view bytes) {
    reading_ = false;
    if (closed_) return;
    if (ec) return close();
    if (!tls_ || awaits_proxy_) {
      in_.commit(bytes.size());
    } else if (!decrypt(bytes)) {
      return;
    }
    advance();
  }

  /// Adds what the bytes say to in_. False: they end the connection.
  bool decrypt(std::string_view bytes) {
    // Of one thread, as its size is that of one read.
    thread_local std::string plain;
    plain.clear();
    const bool goes_on = tls_->receive(bytes, plain, encrypted_);
    const auto room = in_.prepare(plain.size());
    std::copy(plain.begin(), plain.end(), static_cast<char*>(room.data()));
    in_.commit(plain.size());
    if (goes_on) return true;
    if (!tls_->established()) thread_.shared().tls_handshakes_failed.add();
    flush();
    close();
    return false;
  }

  /// Gives the client the idle timeout for its next step.
  void await_client() { deadline_ms_ = thread_.now_ms() + thread_.shared().idle_timeout_ms; }

  /// A request begun has the idle timeout for its header section as a whole and
  /// for each step of its body; single bytes now and then do not prolong it.
  void await_request() {
    if (!parser_.started()) return;
    const bool first_bytes = request_since_ms_ == kNever;
    if (first_bytes || parser_.body_bytes() >= body_mark_ + kBodyStepBytes) {
      if (parser_.header_done()) body_mark_ = parser_.body_bytes();
      request_since_ms_ = thread_.now_ms();
      await_client();
    }
  }

  // Writing: out_ is being filled, sending_ is on its way.

  void flush() {
    if (closed_ || writing_) return;
    if (tls_ && !out_.empty()) {
      tls_->send(out_, encrypted_);
      if (out_.capacity() > kKeptBytes) out_ = {};
      out_.clear();
    }
    std::string& ready = tls_ ? encrypted_ : out_;
    if (ready.empty()) return;
    sending_.swap(ready);
    sent_ = 0;
    // Mostly the socket takes all at once; this saves a turn through the event loop.
    const ssize_t size = ::send(socket_->native_handle(), sending_.data(), sending_.size(),
                                MSG_NOSIGNAL | MSG_DONTWAIT);
    if (size < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) return close();
    sent_ = size > 0 ? static_cast<size_t>(size) : 0;
    if (sent_ == sending_.size()) return sending_done();
    writing_ = true;
    send_rest();
  }

  void send_rest() {
    await_client();
    socket_->async_write_some(
        asio::buffer(sending_.data() + sent_, sending_.size() - sent_),
        [self = shared_from_this()](error_code ec, size_t size) { self->on_sent(ec, size); });
  }

  void on_sent(error_code ec, size_t size) {
    if (closed_) return;
    if (ec) return close();
    sent_ += size;
    if (sent_ < sending_.size()) return send_rest();
    writing_ = false;
    sending_done();
    if (busy_) deadline_ms_ = kNever;
    flush();
    if (closed_ || writing_) return;
    if (streaming_) return pull();
    advance();
  }

  void sending_done() {
    if (sending_.capacity() > kKeptBytes) sending_ = {};
    sending_.clear();
  }

  // Ending.

  void finish() {
    flush();
    if (tls_ && !writing_ && !std::exchange(tls_ended_, true)) tls_->end(encrypted_);
    flush();
    if (closed_ || writing_) return;
    if (!request_unread_ && in_.size() == 0 && !arrived()) return close();
    // Closing with bytes unread makes the kernel send a reset.
    lingering_ = true;
    deadline_ms_ = thread_.now_ms() + kLingerMs;
    error_code ec;
    socket_->shutdown(tcp::socket::shutdown_send, ec);
    if (ec) return close();
    in_.clear();
    discard();
  }

  void discard() {
    socket_->async_read_some(in_.prepare(kReadBytes),
                             [self = shared_from_this()](error_code ec, size_t size) {
                               if (self->closed_) return;
                               self->discarded_bytes_ += size;
                               if (ec || self->discarded_bytes_ > kLingerBytes) {
                                 return self->close();
                               }
                               self->discard();
                             });
  }

  IoThread& thread_;  ///< not to be touched once closed
  Site& site_;
  const std::shared_ptr<AnswerBox> answers_;
  bool awaits_proxy_;  ///< the PROXY header has not come yet
  const int64_t opened_ms_ = monotonic_ms();
  const std::string peer_ip_;          ///< while it hasn't; else the parser's business
  std::optional<tcp::socket> socket_;  ///< empty once closed
  boost::beast::flat_buffer in_;
  RequestParser parser_;
  std::optional<TlsStream> tls_;
  std::string out_;
  std::string encrypted_;  ///< with TLS: what of out_, and of the handshake, is to be sent
  std::string sending_;
  size_t sent_ = 0;
  std::shared_ptr<Streaming> streaming_;
  std::chrono::steady_clock::time_point handed_out_;  ///< the request under way
  int64_t deadline_ms_ = kNever;
  int64_t request_since_ms_ = kNever;
  uint64_t body_mark_ = 0;
  uint64_t discarded_bytes_ = 0;
  bool failed_to_open_ = false;
  bool busy_ = false;        ///< a request is with its handler, or its body is streaming
  bool answered_ = false;    ///< at least one request
  bool in_handler_ = false;  ///< this thread is inside the handler of this connection
  bool reading_ = false;
  bool writing_ = false;
  bool continue_sent_ = false;
  bool last_answer_ = false;  ///< the connection ends after what is in out_
  bool request_unread_ = false;
  bool tls_ended_ = false;
  bool lingering_ = false;
  bool closed_ = false;
};

}  // namespace

void open_connection(IoThread& thread, Site& site, int fd, std::string peer_ip) {
  std::make_shared<TcpConnection>(thread, site, fd, std::move(peer_ip))->start();
}

}  // namespace clickmill::http
