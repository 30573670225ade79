#include "http/tcp_connection.h"

#include <sys/epoll.h>

#include <algorithm>
#include <boost/beast/core/flat_buffer.hpp>
#include <chrono>
#include <exception>
#include <limits>
#include <optional>
#include <utility>

#include "base/logging.h"
#include "http/proxy_protocol.h"
#include "http/socket.h"
#include "http/streaming.h"
#include "http/wire.h"

namespace clickmill::http {
namespace {

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
constexpr size_t kReadBytes = 4 * 1024;
constexpr size_t kBodyReadBytes = 64 * 1024;
/// So that one connection doesn't keep the others of its thread waiting.
constexpr int kReadsInARow = 16;
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

class TcpConnection final : public Connection,
                            public EventLoop::Source,
                            public Asker,
                            public std::enable_shared_from_this<TcpConnection> {
 public:
  TcpConnection(IoThread& thread, Site& site, int fd, std::string peer_ip)
      : thread_(thread),
        site_(site),
        answers_(thread.answers()),
        awaits_proxy_(site.expects_proxy_header && site.expects_proxy_header(peer_ip)),
        peer_ip_(awaits_proxy_ ? peer_ip : std::string()),
        socket_(fd),
        parser_(site.limits, std::move(peer_ip)) {}

  void start() {
    thread_.add(shared_from_this());
    // Edge-triggered: one call for the connection's life instead of one for every wait.
    constexpr uint32_t kEvents = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    if (!thread_.loop()->watch(socket_.descriptor(), kEvents, *this)) return close();
    await_client();
    if (const auto tls = site_.tls()) tls_.emplace(*tls);
    advance();
  }

  void on_events(uint32_t events) override {
    const auto self = shared_from_this();
    constexpr uint32_t kEnds = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
    if ((events & (EPOLLIN | kEnds)) != 0) readable_ = true;
    if ((events & kEnds) != 0) ends_ = true;
    if (writing_ && (events & (EPOLLOUT | kEnds)) != 0) send_rest();
    if (closed_ || writing_ || !readable_) return;
    if (lingering_) return discard();
    if (std::exchange(waits_for_bytes_, false)) advance();
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
    // Now, not in the destructor: that may run on any thread, and much later.
    thread_.loop()->unwatch(socket_.descriptor(), *this);
    socket_.close();
    --site_.open;
    thread_.remove(*this);
  }

  /// Thread: any. Answers of other connections' handlers take the queue as well:
  /// directly, one connection's handler would run inside another's.
  void respond(Response&& response) override {
    if (answers_->here() && in_handler_) return answer(std::move(response));
    answers_->push(shared_from_this(), std::move(response));
  }

 private:
  /// Where the connection's end is the body's end, only a reset says that something is missing.
  void reset() {
    thread_.loop()->unwatch(socket_.descriptor(), *this);
    socket_.reset();
    close();
  }

  /// Takes requests from the buffer and hands them out, until one has to wait:
  /// for its answer, for more bytes, or for the client to read what was written.
  void advance() {
    reads_left_ = kReadsInARow;
    while (awaits_proxy_ && !closed_) {
      if (!take_proxy_header() && (closed_ || !read_more())) return;
    }
    while (!closed_ && !busy_ && !writing_ && !lingering_) {
      if (last_answer_) return finish();
      if (out_.size() >= kGatherBytes) {
        flush();
        continue;
      }
      size_t used = 0;
      const auto outcome = parser_.parse(buffered(), used);
      in_.consume(used);
      if (outcome == RequestParser::Outcome::need_more) {
        if (!read_more()) return;
        continue;
      }
      if (outcome == RequestParser::Outcome::failed) {
        refuse();
      } else {
        dispatch();
      }
    }
    // Answers to earlier requests must not wait for this one's.
    flush();
  }

  /// False: the rest of it must come first, or it was wrong and the connection is closed.
  bool take_proxy_header() {
    auto header = read_proxy_header(buffered());
    if (header.outcome == ProxyHeader::Outcome::need_more) return false;
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
  bool arrived() const { return socket_.has_arrived(); }

  std::string_view buffered() const {
    return {static_cast<const char*>(in_.cdata().data()), in_.size()};
  }

  void dispatch() {
    busy_ = true;
    deadline_ms_ = kNever;
    in_handler_ = true;
    handed_out_ = std::chrono::steady_clock::now();
    try {
      site_.handler(parser_.request(), Responder(std::shared_ptr<Asker>(shared_from_this())));
    } catch (const std::exception& escaped) {
      // Its Responder has answered 500 on the way out.
      log_error("http", std::string("a handler failed: ") + escaped.what());
    } catch (...) {
      log_error("http", "a handler failed with something that is no exception");
    }
    in_handler_ = false;
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
    thread_.shared().on_stream_thread(
        [self = shared_from_this(), state = streaming_, loop = thread_.loop()] {
          state->pull();
          loop->post([self] { self->on_piece(); });
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

  /// True: more bytes have come. False: they will come later, or never.
  bool read_more() {
    if (parser_.expects_continue() && !continue_sent_) {
      continue_sent_ = true;
      out_ += "HTTP/1.1 100 Continue\r\n\r\n";
    }
    flush();
    if (closed_ || writing_) return false;
    if (thread_.draining() && answered_ && idle()) {
      close();
      return false;
    }
    if (in_.size() == 0 && in_.capacity() > kKeptBytes && !parser_.header_done()) in_ = {};
    await_request();
    if (readable_ && reads_left_-- > 0) return receive();
    waits_for_bytes_ = true;
    if (readable_) go_on_later();
    return false;
  }

  /// The socket still has bytes, for which no further event comes.
  void go_on_later() {
    thread_.post([self = shared_from_this()] {
      if (!self->closed_) self->on_events(EPOLLIN);
    });
  }

  /// As read_more().
  bool receive() {
    const auto room = in_.prepare(parser_.header_done() ? kBodyReadBytes : kReadBytes);
    size_t size = 0;
    if (!receive_into(room.data(), room.size(), size)) return false;
    const std::string_view bytes(static_cast<const char*>(room.data()), size);
    if (tls_ && !awaits_proxy_) return decrypt(bytes);
    in_.commit(bytes.size());
    return true;
  }

  /// False: none have come yet, and an event will tell, or the connection is closed.
  bool receive_into(void* room, size_t most, size_t& size) {
    const auto got = socket_.receive(room, most, size);
    if (got == Socket::Got::end) close();
    waits_for_bytes_ = got == Socket::Got::nothing_yet;
    // The socket is empty now, and what comes later is an event, but for the end that has
    // been told already.
    if (waits_for_bytes_ || (size < most && !ends_)) readable_ = false;
    return got == Socket::Got::bytes;
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
    // Mostly the socket takes all at once.
    if (!send_some()) return;
    if (sent_ == sending_.size()) return sending_done();
    writing_ = true;
    await_client();
  }

  /// As much as the socket takes. False: the connection is closed.
  bool send_some() {
    const auto sent = socket_.send(std::string_view(sending_).substr(sent_));
    if (!sent) close();
    sent_ += sent.value_or(0);
    return sent.has_value();
  }

  void send_rest() {
    const size_t before = sent_;
    if (!send_some()) return;
    if (sent_ > before) await_client();
    if (sent_ < sending_.size()) return;
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
    if (!socket_.end_sending()) return close();
    in_.clear();
    discard();
  }

  void discard() {
    for (int reads = 0; reads < kReadsInARow; ++reads) {
      const auto room = in_.prepare(kReadBytes);
      size_t size = 0;
      if (!receive_into(room.data(), room.size(), size)) return;
      discarded_bytes_ += size;
      if (discarded_bytes_ > kLingerBytes) return close();
      if (!readable_) return;
    }
    go_on_later();
  }

  IoThread& thread_;  ///< not to be touched once closed
  Site& site_;
  const std::shared_ptr<AnswerBox> answers_;
  bool awaits_proxy_;  ///< the PROXY header has not come yet
  const int64_t opened_ms_ = monotonic_ms();
  const std::string peer_ip_;  ///< while it hasn't; else the parser's business
  Socket socket_;
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
  bool busy_ = false;             ///< a request is with its handler, or its body is streaming
  bool answered_ = false;         ///< at least one request
  bool in_handler_ = false;       ///< this thread is inside the handler of this connection
  bool readable_ = false;         ///< the socket may have bytes
  bool ends_ = false;             ///< the client has closed its side, or the connection failed
  bool waits_for_bytes_ = false;  ///< and goes on when an event tells of them
  int reads_left_ = 0;            ///< of this turn
  bool writing_ = false;          ///< waits for the client to read
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
