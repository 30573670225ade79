#include "peer/sockets.h"

#include <netinet/tcp.h>
#include <pthread.h>

#include <algorithm>
#include <array>
#include <boost/asio/connect.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>
#include <utility>

#include "base/logging.h"
#include "http/server.h"
#include "peer/resolver.h"

namespace clickmill::peer {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using Tasks = asio::io_context;
using Found = std::function<void(const Result<std::vector<std::string>>&)>;

constexpr size_t kReadBytes = 64 << 10;
constexpr size_t kWriteBytes = 256 << 10;
/// What the kernel may hold unsent: a beat waits behind that, and behind what has been sent.
constexpr int kUnsentBytes = 128 << 10;
constexpr auto kAcceptAgain = std::chrono::milliseconds(100);

std::string text_of(const tcp::endpoint& endpoint) {
  const std::string host = endpoint.address().to_string();
  const std::string port = std::to_string(endpoint.port());
  return endpoint.address().is_v6() ? "[" + host + "]:" + port : host + ":" + port;
}

std::string text_of(const error_code& ec) {
  if (ec == asio::error::eof || ec == asio::ssl::error::stream_truncated)
    return "the peer closed the connection";
  return ec.message();
}

tcp::socket& lowest(tcp::socket& socket) { return socket; }
tcp::socket& lowest(asio::ssl::stream<tcp::socket>& stream) { return stream.next_layer(); }

/// Whom a socket connects to; nobody: it was accepted.
struct Called {
  std::string host;
  uint16_t port = 0;
  size_t turn = 0;
  std::function<void(const std::string& host, Found found)> look_up;
};

template <typename Stream>
class StreamSocket final : public Socket,
                           public std::enable_shared_from_this<StreamSocket<Stream>> {
 public:
  StreamSocket(Stream stream, std::optional<Called> called)
      : stream_(std::move(stream)), called_(std::move(called)) {}

  void open(std::weak_ptr<SocketUser> user) override {
    user_ = std::move(user);
    if (!called_) return shake();
    // Weak: a search may last, and whoever waited for it be gone.
    called_->look_up(called_->host, [weak = this->weak_from_this()](const auto& addresses) {
      if (const auto self = weak.lock(); self && !self->closed_) self->connect(addresses);
    });
  }

  void read() override {
    stream_.async_read_some(asio::buffer(input_),
                            [self = this->shared_from_this()](const error_code& ec, size_t size) {
                              const auto user = self->user(ec);
                              if (user) user->on_bytes({self->input_.data(), size});
                            });
  }

  void write(std::vector<std::string> pieces) override {
    output_ = std::move(pieces);
    std::vector<asio::const_buffer> buffers;
    for (const std::string& piece : output_) buffers.push_back(asio::buffer(piece));
    write_moved_ms_ = Sockets::now_ms();
    const auto self = this->shared_from_this();
    asio::async_write(
        stream_, std::move(buffers),
        // Asked after each portion that the kernel took.
        [self](const error_code& ec, size_t) -> size_t {
          self->write_moved_ms_ = Sockets::now_ms();
          return ec ? 0 : kWriteBytes;
        },
        [self](const error_code& ec, size_t) {
          self->output_.clear();
          if (const auto user = self->user(ec)) user->on_written();
        });
  }

  int64_t write_moved_ms() const override { return write_moved_ms_; }

  void end_output() override {
    error_code ignored;
    lowest(stream_).shutdown(tcp::socket::shutdown_send, ignored);
  }

  void close() override {
    if (std::exchange(closed_, true)) return;
    error_code ignored;
    lowest(stream_).close(ignored);
  }

  std::string remote() const override { return remote_; }

  std::string tls_binding() const override {
    if constexpr (std::is_same_v<Stream, tcp::socket>) {
      return {};
    } else {
      constexpr std::string_view kLabel = "EXPORTER-clickmill-peer";
      std::array<unsigned char, 32> out{};
      // asio's handle is not const, and the export changes nothing that is seen.
      auto* const tls = const_cast<asio::ssl::stream<tcp::socket>&>(stream_).native_handle();
      if (SSL_export_keying_material(tls, out.data(), out.size(), kLabel.data(), kLabel.size(),
                                     nullptr, 0, 0) != 1)
        return {};
      return std::string(out.begin(), out.end());
    }
  }

 private:
  /// Whom to tell of what has come; nobody after a close or a failure, which is told here.
  std::shared_ptr<SocketUser> user(const error_code& ec) {
    if (closed_) return nullptr;
    if (ec) {
      fail(text_of(ec),
           ec == asio::error::connection_refused ? Failure::nobody_listens : Failure::broken);
      return nullptr;
    }
    auto user = user_.lock();
    if (!user) close();
    return user;
  }

  void fail(const std::string& why, Failure failure) {
    close();
    if (const auto user = user_.lock()) user->on_failed(why, failure);
  }

  void connect(const Result<std::vector<std::string>>& addresses) {
    if (!addresses) return fail(addresses.error().message(), Failure::broken);
    std::vector<tcp::endpoint> endpoints;
    for (const std::string& address : *addresses) {
      error_code ec;
      const auto parsed = asio::ip::make_address(address, ec);
      if (!ec) endpoints.emplace_back(parsed, called_->port);
    }
    if (!endpoints.empty()) {
      const size_t first = called_->turn % endpoints.size();
      std::rotate(endpoints.begin(), endpoints.begin() + static_cast<ptrdiff_t>(first),
                  endpoints.end());
    }
    asio::async_connect(
        lowest(stream_), endpoints,
        [self = this->shared_from_this()](const error_code& ec, const tcp::endpoint&) {
          if (self->user(ec)) self->shake();
        });
  }

  void shake() {
    error_code ec;
    tcp::socket& socket = lowest(stream_);
    const tcp::endpoint other = socket.remote_endpoint(ec);
    if (!ec) remote_ = text_of(other);
    socket.set_option(tcp::no_delay(true), ec);
    using NotSentLowWater = asio::detail::socket_option::integer<IPPROTO_TCP, TCP_NOTSENT_LOWAT>;
    socket.set_option(NotSentLowWater(kUnsentBytes), ec);
    if constexpr (std::is_same_v<Stream, tcp::socket>) {
      if (const auto user = this->user({})) user->on_open();
    } else {
      const auto side = called_ ? asio::ssl::stream_base::client : asio::ssl::stream_base::server;
      stream_.async_handshake(side, [self = this->shared_from_this()](const error_code& failure) {
        if (self->closed_) return;
        if (failure == asio::ssl::error::stream_truncated || failure == asio::error::eof)
          return self->fail("the peer broke off the TLS handshake", Failure::broken);
        if (failure) return self->fail("TLS: " + text_of(failure), Failure::nonsense);
        if (const auto user = self->user({})) user->on_open();
      });
    }
  }

  Stream stream_;
  const std::optional<Called> called_;
  std::weak_ptr<SocketUser> user_;
  std::vector<char> input_ = std::vector<char>(kReadBytes);
  std::vector<std::string> output_;
  int64_t write_moved_ms_ = 0;
  std::string remote_;
  bool closed_ = false;
};

}  // namespace

class Sockets::Impl {
 public:
  Impl()
      : work_(tasks_.get_executor()), acceptor_(tasks_), accept_again_(tasks_), sweeper_(tasks_) {
    home_->tasks = &tasks_;
  }
  ~Impl() {
    const std::lock_guard lock(home_->mutex);
    home_->tasks = nullptr;
  }

  Status use_tls(const Tls& files) {
    tls_.emplace(asio::ssl::context::tls);
    error_code ec;
    tls_->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_sslv2 |
                          asio::ssl::context::no_sslv3 | asio::ssl::context::no_tlsv1 |
                          asio::ssl::context::no_tlsv1_1,
                      ec);
    tls_->set_verify_mode(asio::ssl::verify_peer | asio::ssl::verify_fail_if_no_peer_cert, ec);
    const auto bad = [&ec](const char* field, const std::string& file) {
      return Error(Errc::invalid,
                   std::string("cluster.tls.") + field + ": " + file + ": " + ec.message());
    };
    tls_->load_verify_file(files.ca, ec);
    if (ec) return bad("ca", files.ca);
    tls_->use_certificate_chain_file(files.cert, ec);
    if (ec) return bad("cert", files.cert);
    tls_->use_private_key_file(files.key, asio::ssl::context::pem, ec);
    if (ec) return bad("key", files.key);
    return {};
  }

  Result<std::string> listen(const std::string& text) {
    const http::HostPort wanted = TRY(http::parse_host_port(text));
    error_code ec;
    tcp::resolver resolver(tasks_);
    const auto found = resolver.resolve(wanted.host, std::to_string(wanted.port), ec);
    tcp::endpoint endpoint;
    if (!ec) endpoint = found.begin()->endpoint();
    if (!ec) acceptor_.open(endpoint.protocol(), ec);
    if (!ec) acceptor_.set_option(tcp::acceptor::reuse_address(true), ec);
    if (!ec) acceptor_.bind(endpoint, ec);
    if (!ec) acceptor_.listen(asio::socket_base::max_listen_connections, ec);
    if (!ec) endpoint = acceptor_.local_endpoint(ec);
    if (ec) return Error(Errc::io, "cannot listen on " + text + ": " + ec.message());
    return text_of(endpoint);
  }

  void start(std::function<void(std::shared_ptr<Socket>)> accepted, uint32_t sweep_ms,
             std::function<void()> sweep) {
    accepted_ = std::move(accepted);
    sweep_ = std::move(sweep);
    sweep_every_ = std::chrono::milliseconds(sweep_ms);
    arm();
    if (acceptor_.is_open()) accept();
    thread_ = std::thread([this] {
      ::pthread_setname_np(::pthread_self(), "peer");
      run();
    });
  }

  void stop(std::function<void()> last) {
    if (!thread_.joinable()) return;
    asio::post(tasks_, [this, last = std::move(last)] {
      error_code ignored;
      acceptor_.close(ignored);
      last();
      tasks_.stop();
    });
    thread_.join();
  }

  void post(std::function<void()> task) { asio::post(tasks_, std::move(task)); }

  std::shared_ptr<Socket> to(const std::string& host, uint16_t port, size_t turn, bool plain) {
    return make(tcp::socket(tasks_), called(host, port, turn), plain);
  }

 private:
  /// What a search's thread may still touch when all else is gone. The mutex guards the
  /// tasks' life.
  struct Home {
    std::mutex mutex;
    Tasks* tasks = nullptr;
  };

  std::shared_ptr<Socket> make(tcp::socket socket, std::optional<Called> called, bool plain) {
    if (plain || !tls_)
      return std::make_shared<StreamSocket<tcp::socket>>(std::move(socket), std::move(called));
    return std::make_shared<StreamSocket<asio::ssl::stream<tcp::socket>>>(
        asio::ssl::stream<tcp::socket>(std::move(socket), *tls_), std::move(called));
  }

  Called called(const std::string& host, uint16_t port, size_t turn) {
    return {host, port, turn,
            [this](const std::string& name, Found found) { search(name, std::move(found)); }};
  }

  /// All who ask for a host while it is looked up share the search.
  void search(const std::string& host, Found found) {
    auto& waiting = searches_[host];
    waiting.push_back(std::move(found));
    if (waiting.size() > 1) return;
    look_up(host, [this, home = home_, host](Result<std::vector<std::string>> addresses) {
      const std::lock_guard lock(home->mutex);
      if (home->tasks == nullptr) return;
      asio::post(*home->tasks, [this, host, addresses = std::move(addresses)] {
        const auto all = searches_.extract(host);
        for (const Found& one : all.mapped()) one(addresses);
      });
    });
  }

  void run() {
    while (!tasks_.stopped()) {
      try {
        tasks_.run();
      } catch (const std::exception& escaped) {
        log_error("peer", std::string("a task failed: ") + escaped.what());
      }
    }
  }

  void arm() {
    sweeper_.expires_after(sweep_every_);
    sweeper_.async_wait([this](const error_code& ec) {
      if (ec) return;
      arm();
      sweep_();
    });
  }

  void accept() {
    acceptor_.async_accept([this](const error_code& ec, tcp::socket socket) {
      if (!acceptor_.is_open()) return;
      // Out of descriptors, mostly: the connection waits in the kernel.
      if (ec) return accept_later();
      accept();
      accepted_(make(std::move(socket), std::nullopt, false));
    });
  }
  void accept_later() {
    accept_again_.expires_after(kAcceptAgain);
    accept_again_.async_wait([this](const error_code& ec) {
      if (!ec && acceptor_.is_open()) accept();
    });
  }

  // First, so that it goes last: sockets in its waiting tasks need the TLS context and it.
  std::optional<asio::ssl::context> tls_;
  std::unordered_map<std::string, std::vector<Found>> searches_;
  std::function<void(std::shared_ptr<Socket>)> accepted_;
  std::function<void()> sweep_;
  Tasks tasks_{1};
  asio::executor_work_guard<Tasks::executor_type> work_;
  tcp::acceptor acceptor_;
  asio::steady_timer accept_again_;
  asio::steady_timer sweeper_;
  std::chrono::milliseconds sweep_every_{50};
  const std::shared_ptr<Home> home_ = std::make_shared<Home>();
  std::thread thread_;
};

Sockets::Sockets() : impl_(std::make_unique<Impl>()) {}
Sockets::~Sockets() {
  stop([] {});
}
Status Sockets::use_tls(const Tls& tls) { return impl_->use_tls(tls); }
Result<std::string> Sockets::listen(const std::string& address) { return impl_->listen(address); }
void Sockets::start(std::function<void(std::shared_ptr<Socket>)> accepted, uint32_t sweep_ms,
                    std::function<void()> sweep) {
  impl_->start(std::move(accepted), sweep_ms, std::move(sweep));
}
void Sockets::stop(std::function<void()> last) { impl_->stop(std::move(last)); }
void Sockets::post(std::function<void()> task) { impl_->post(std::move(task)); }
std::shared_ptr<Socket> Sockets::to(const std::string& host, uint16_t port, size_t turn) {
  return impl_->to(host, port, turn, false);
}
std::shared_ptr<Socket> Sockets::plain_to(const std::string& host, uint16_t port, size_t turn) {
  return impl_->to(host, port, turn, true);
}
int64_t Sockets::now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace clickmill::peer
