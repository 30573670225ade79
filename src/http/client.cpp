#include "http/client.h"

#include <netdb.h>
#include <pthread.h>
#include <sys/socket.h>

#include <atomic>
#include <boost/asio/connect.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/span_body.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <chrono>
#include <cstring>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>

#include "base/logging.h"

namespace clickmill::http {
namespace {

namespace asio = boost::asio;
namespace beast_http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;

constexpr uint32_t kSweepMs = 5;

int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

/// One request on its way. Whoever holds it answers it.
struct Call {
  Method method = Method::get;
  std::string path;
  std::shared_ptr<const std::string> body;  ///< null: none
  int64_t deadline_ms = 0;
  Client::Done done;
  bool again = false;  ///< a kept connection lost it once
};

std::string host_header(const Url& url) {
  std::string host = url.host.find(':') != std::string::npos ? "[" + url.host + "]" : url.host;
  if (url.port != (url.tls ? 443 : 80)) host += ":" + std::to_string(url.port);
  return host;
}

Error io_error(const Url& url, const error_code& ec) {
  return Error(Errc::io, host_header(url) + ": " + ec.message());
}

beast_http::verb verb_of(Method method) {
  switch (method) {
    case Method::post: return beast_http::verb::post;
    case Method::delete_: return beast_http::verb::delete_;
    default: return beast_http::verb::get;
  }
}

Error timed_out(const Url& url) {
  return Error(Errc::busy, host_header(url) + ": no answer in time");
}

/// Finds the addresses of a client's one host. Each search has a thread of its own that
/// nobody waits for: getaddrinfo can't be ended, and asio's resolver would keep a stop
/// waiting for it. All who ask while one is under way share it, so there is never a
/// second one.
/// Thread: the client's.
class Resolver : public std::enable_shared_from_this<Resolver> {
 public:
  using Found = std::function<void(const error_code&, const std::vector<tcp::endpoint>&)>;
  explicit Resolver(asio::io_context& context) : home_(std::make_shared<Home>(context)) {}

  void find(const Url& url, Found found) {
    waiting_.push_back(std::move(found));
    if (waiting_.size() > 1) return;
    std::thread([home = home_, self = weak_from_this(), host = url.host,
                 port = std::to_string(url.port)] {
      std::vector<tcp::endpoint> addresses;
      const error_code ec = look_up(host, port, addresses);
      const std::lock_guard lock(home->mutex);
      if (home->context == nullptr) return;
      asio::post(*home->context, [self, ec, addresses = std::move(addresses)] {
        if (const auto resolver = self.lock()) resolver->tell(ec, addresses);
      });
    }).detach();
  }
  /// Nothing comes from outside any more.
  void end() {
    waiting_.clear();
    const std::lock_guard lock(home_->mutex);
    home_->context = nullptr;
  }

 private:
  /// What a search's thread may still touch when the client is gone. The mutex guards the
  /// context's life.
  struct Home {
    explicit Home(asio::io_context& of) : context(&of) {}
    std::mutex mutex;
    asio::io_context* context;
  };

  static error_code look_up(const std::string& host, const std::string& port,
                            std::vector<tcp::endpoint>& addresses) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* list = nullptr;
    const int failure = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &list);
    for (const addrinfo* at = list; at != nullptr; at = at->ai_next) {
      tcp::endpoint endpoint;
      if (at->ai_addrlen > endpoint.capacity()) continue;
      std::memcpy(endpoint.data(), at->ai_addr, at->ai_addrlen);
      addresses.push_back(endpoint);
    }
    if (list != nullptr) ::freeaddrinfo(list);
    if (failure == EAI_AGAIN) return asio::error::host_not_found_try_again;
    if (failure != 0 || addresses.empty()) return asio::error::host_not_found;
    return {};
  }

  void tell(const error_code& ec, const std::vector<tcp::endpoint>& addresses) {
    for (const Found& found : std::exchange(waiting_, {})) found(ec, addresses);
  }

  const std::shared_ptr<Home> home_;
  std::vector<Found> waiting_;
};

/// What a connection tells its client.
struct Owner {
  const Client::Options* options = nullptr;
  asio::io_context* context = nullptr;
  std::shared_ptr<Resolver> resolver;
  /// A connection has nothing to do any more, or is closed.
  std::function<void()> on_idle;
  std::function<void(Call&&)> on_lost;
};

/// One TCP connection: connects at its first call, and takes one call at a time.
/// Thread: the client's.
class Link {
 public:
  virtual ~Link() = default;
  virtual void take(Call&& call) = 0;
  virtual bool idle() const = 0;
  virtual bool closed() const = 0;
  /// Ends a call that has run out of time, or a connection that was idle for too long.
  virtual void sweep(int64_t now) = 0;
  virtual void close() = 0;
};

tcp::socket& lowest(tcp::socket& socket) { return socket; }
tcp::socket& lowest(asio::ssl::stream<tcp::socket>& stream) { return stream.next_layer(); }

template <typename Stream>
class StreamLink final : public Link, public std::enable_shared_from_this<StreamLink<Stream>> {
 public:
  StreamLink(std::shared_ptr<Owner> owner, Stream stream)
      : owner_(std::move(owner)), url_(owner_->options->url), stream_(std::move(stream)) {}

  bool idle() const override { return !call_ && !closed_; }
  bool closed() const override { return closed_; }

  void take(Call&& call) override {
    call_ = std::move(call);
    if (connected_) return send();
    // Weak: a search may outlive the client, and what it would close with it.
    owner_->resolver->find(
        url_, [weak = this->weak_from_this()](const error_code& ec, const auto& addresses) {
          if (const auto self = weak.lock(); self && !self->closed_) self->connect(ec, addresses);
        });
  }

  void sweep(int64_t now) override {
    if (call_ && call_->deadline_ms <= now) return fail(timed_out(url_));
    if (!call_ && now - idle_since_ms_ > owner_->options->idle_ms_most) close();
  }

  void close() override {
    if (std::exchange(closed_, true)) return;
    error_code ignored;
    lowest(stream_).close(ignored);
    if (auto call = std::exchange(call_, std::nullopt))
      call->done(Error(Errc::closed, "the client was stopped"));
  }

 private:
  void connect(const error_code& ec, const std::vector<tcp::endpoint>& addresses) {
    if (ec) return fail(io_error(url_, ec));
    asio::async_connect(
        lowest(stream_), addresses,
        [self = this->shared_from_this()](const error_code& failure, const tcp::endpoint&) {
          if (self->closed_) return;
          if (failure) return self->fail(io_error(self->url_, failure));
          error_code ignored;
          lowest(self->stream_).set_option(tcp::no_delay(true), ignored);
          self->shake_hands();
        });
  }
  void shake_hands() {
    if constexpr (std::is_same_v<Stream, tcp::socket>) {
      connected_ = true;
      send();
    } else {
      // What the macro SSL_set_tlsext_host_name does, whose cast -Wold-style-cast refuses.
      SSL_ctrl(stream_.native_handle(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
               const_cast<char*>(url_.host.c_str()));
      stream_.set_verify_callback(asio::ssl::host_name_verification(url_.host));
      stream_.async_handshake(asio::ssl::stream_base::client,
                              [self = this->shared_from_this()](const error_code& ec) {
                                if (self->closed_) return;
                                if (ec) return self->fail(io_error(self->url_, ec));
                                self->connected_ = true;
                                self->send();
                              });
    }
  }

  void send() {
    request_ = {};
    request_.method(verb_of(call_->method));
    request_.target(url_.path + call_->path);
    request_.version(11);
    request_.set(beast_http::field::host, host_header(url_));
    request_.set(beast_http::field::accept, "application/json");
    request_.set(beast_http::field::user_agent, "clickmill/" CLICKMILL_VERSION);
    for (const auto& [name, value] : owner_->options->headers) request_.set(name, value);
    // Held here: a write that is cut off outlives its call.
    body_ = call_->body;
    if (body_) request_.body() = {body_->data(), body_->size()};
    request_.prepare_payload();
    parser_.emplace();
    parser_->body_limit(owner_->options->body_bytes_most);
    beast_http::async_write(stream_, request_,
                            [self = this->shared_from_this()](const error_code& ec, size_t) {
                              if (self->closed_) return;
                              if (ec) return self->lose(ec);
                              self->read();
                            });
  }

  void read() {
    beast_http::async_read(stream_, buffer_, *parser_,
                           [self = this->shared_from_this()](const error_code& ec, size_t) {
                             if (self->closed_) return;
                             if (ec) return self->lose(ec);
                             self->finish();
                           });
  }

  void finish() {
    Client::Reply reply{static_cast<int>(parser_->get().result_int()),
                        std::move(parser_->get().body())};
    if (const std::string& wanted = owner_->options->reply_header; !wanted.empty())
      reply.header = std::string(parser_->get()[wanted]);
    const bool keep = parser_->get().keep_alive();
    auto call = std::exchange(call_, std::nullopt);
    used_ = true;
    idle_since_ms_ = now_ms();
    if (!keep) close();
    call->done(std::move(reply));
    owner_->on_idle();
  }

  /// A server may close a kept connection just as a request is on its way there.
  void lose(const error_code& ec) {
    const bool nothing_came = !parser_->got_some() && buffer_.size() == 0;
    if (!used_ || !nothing_came || call_->again || call_->method != Method::get)
      return fail(io_error(url_, ec));
    auto call = std::exchange(call_, std::nullopt);
    close();
    call->again = true;
    owner_->on_lost(*std::move(call));
    owner_->on_idle();
  }

  void fail(Error error) {
    auto call = std::exchange(call_, std::nullopt);
    close();
    call->done(std::move(error));
    owner_->on_idle();
  }

  const std::shared_ptr<Owner> owner_;
  const Url& url_;
  Stream stream_;
  std::optional<Call> call_;
  beast_http::request<beast_http::span_body<const char>> request_;
  std::shared_ptr<const std::string> body_;  // what it points to
  std::optional<beast_http::response_parser<beast_http::string_body>> parser_;
  boost::beast::flat_buffer buffer_;
  int64_t idle_since_ms_ = 0;
  bool connected_ = false;
  bool used_ = false;
  bool closed_ = false;
};

}  // namespace

class Client::Impl {
 public:
  explicit Impl(Options options)
      : options_(std::move(options)),
        context_(1),
        work_(context_.get_executor()),
        tls_(asio::ssl::context::tls_client) {
    error_code ignored;
    if (options_.ca_file.empty()) {
      tls_.set_default_verify_paths(ignored);
    } else {
      // One that can't be read vouches for nobody.
      tls_.load_verify_file(options_.ca_file, ignored);
    }
    tls_.set_verify_mode(asio::ssl::verify_peer, ignored);
    owner_ = std::make_shared<Owner>();
    owner_->options = &options_;
    owner_->context = &context_;
    owner_->resolver = std::make_shared<Resolver>(context_);
    owner_->on_idle = [this] { pump(); };
    owner_->on_lost = [this](Call&& call) { waiting_.push_front(std::move(call)); };
  }

  void start() {
    every(kSweepMs, [this] { sweep(); });
    thread_ = std::thread([this] {
      ::pthread_setname_np(::pthread_self(), "io-client");
      run();
    });
  }

  void stop() {
    stopped_ = true;
    if (!thread_.joinable()) return;
    asio::post(context_, [this] {
      stopping_ = true;
      for (auto& periodic : periodics_) periodic->timer.cancel();
      for (auto& call : std::exchange(waiting_, {}))
        call.done(Error(Errc::closed, "the client was stopped"));
      for (const auto& link : std::exchange(links_, {})) link->close();
      work_.reset();
    });
    thread_.join();
    owner_->resolver->end();
  }

  void send(Method method, std::string path, std::shared_ptr<const std::string> body,
            int64_t timeout_ms, Done done) {
    if (stopped_) return done(Error(Errc::closed, "the client was stopped"));
    Call call{method, std::move(path), std::move(body), now_ms() + timeout_ms, std::move(done),
              false};
    asio::post(context_, [this, call = std::make_shared<Call>(std::move(call))] {
      if (stopping_) return call->done(Error(Errc::closed, "the client was stopped"));
      if (waiting_.size() >= options_.waiting_most)
        return call->done(Error(Errc::busy, "too many requests wait"));
      waiting_.push_back(std::move(*call));
      pump();
    });
  }

  void every(uint32_t interval_ms, std::function<void()> task) {
    auto periodic = std::make_unique<Periodic>(Periodic{
        asio::steady_timer(context_), std::chrono::milliseconds(interval_ms), std::move(task)});
    arm(*periodic);
    periodics_.push_back(std::move(periodic));
  }

 private:
  struct Periodic {
    asio::steady_timer timer;
    std::chrono::milliseconds interval;
    std::function<void()> task;
  };

  void run() {
    while (!context_.stopped()) {
      try {
        context_.run();
      } catch (const std::exception& escaped) {
        log_error("http", std::string("a task of the client failed: ") + escaped.what());
      }
    }
  }

  void arm(Periodic& periodic) {
    periodic.timer.expires_after(periodic.interval);
    periodic.timer.async_wait([this, &periodic](const error_code& ec) {
      if (ec || stopping_) return;
      arm(periodic);
      periodic.task();
    });
  }

  void sweep() {
    const int64_t now = now_ms();
    for (Call& call : waiting_) {
      if (call.deadline_ms <= now) std::exchange(call.done, nullptr)(timed_out(options_.url));
    }
    std::erase_if(waiting_, [](const Call& call) { return !call.done; });
    // A copy: a link that fails asks for the next call, which may add a link.
    for (const auto& link : std::vector(links_)) link->sweep(now);
    pump();
  }

  /// Gives waiting calls to idle connections, and to new ones up to the limit.
  void pump() {
    std::erase_if(links_, [](const auto& link) { return link->closed(); });
    while (!waiting_.empty() && !stopping_) {
      Link* const link = idle_link();
      if (link == nullptr) return;
      Call call = std::move(waiting_.front());
      waiting_.pop_front();
      link->take(std::move(call));
    }
  }

  /// One that can take a call, made if there may be one more; null: all are busy.
  Link* idle_link() {
    for (const auto& link : links_) {
      if (link->idle()) return link.get();
    }
    if (links_.size() >= options_.connections_most) return nullptr;
    if (options_.url.tls) {
      links_.push_back(std::make_shared<StreamLink<asio::ssl::stream<tcp::socket>>>(
          owner_, asio::ssl::stream<tcp::socket>(context_, tls_)));
    } else {
      links_.push_back(std::make_shared<StreamLink<tcp::socket>>(owner_, tcp::socket(context_)));
    }
    return links_.back().get();
  }

  const Options options_;
  asio::io_context context_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  asio::ssl::context tls_;
  std::shared_ptr<Owner> owner_;
  std::thread thread_;
  std::atomic<bool> stopped_{false};

  // The client's thread only, once it runs.
  std::deque<Call> waiting_;
  std::vector<std::shared_ptr<Link>> links_;
  std::vector<std::unique_ptr<Periodic>> periodics_;
  bool stopping_ = false;
};

Client::Client(Options options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Client::~Client() { stop(); }
void Client::send(Method method, std::string path, std::shared_ptr<const std::string> body,
                  int64_t timeout_ms, Done done) {
  impl_->send(method, std::move(path), std::move(body), timeout_ms, std::move(done));
}
void Client::every(uint32_t interval_ms, std::function<void()> task) {
  impl_->every(interval_ms, std::move(task));
}
void Client::start() { impl_->start(); }
void Client::stop() { impl_->stop(); }

Status check_ca_file(const std::string& path) {
  asio::ssl::context context(asio::ssl::context::tls_client);
  error_code ec;
  context.load_verify_file(path, ec);
  if (ec) return Error(Errc::invalid, path + ": no certificates could be read: " + ec.message());
  return {};
}

}  // namespace clickmill::http
