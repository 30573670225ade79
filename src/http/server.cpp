#include "http/server.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <future>
#include <iterator>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/logging.h"
#include "base/task_pool.h"
#include "http/io_thread.h"
#include "http/tcp_connection.h"

namespace clickmill::http {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr unsigned kStreamThreads = 2;
/// Accepted in one go, so that a flood of connections leaves room for requests.
constexpr int kAcceptsAtOnce = 64;
/// After accept fails (mostly for want of descriptors), instead of trying at once.
constexpr auto kAcceptPause = std::chrono::milliseconds(100);

/// However few descriptors there are, so many connections are taken.
constexpr uint32_t kConnectionsLeast = 8;
constexpr uint64_t kDescriptorsKeptMost = 4'096;
/// A client that has asked nothing for so long may be sent away when others wait.
constexpr int64_t kIdleLeastMs = 2'000;
/// Of a client in the same data centre, before the listener closes.
constexpr auto kHandshakeTime = std::chrono::milliseconds(20);

uint64_t descriptors_of_process() {
  rlimit limit{};
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 1'024;
}

/// What connections leave to the rest of the process.
uint64_t descriptors_kept() { return std::min(descriptors_of_process() / 3, kDescriptorsKeptMost); }

std::string ip_text(asio::ip::address address) {
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    address = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
  }
  return address.to_string();
}

std::string peer_ip(const sockaddr_storage& peer, socklen_t size) {
  tcp::endpoint endpoint;
  std::memcpy(endpoint.data(), &peer, std::min<size_t>(size, endpoint.capacity()));
  return ip_text(endpoint.address());
}

std::string endpoint_text(const tcp::endpoint& endpoint) {
  const std::string host = endpoint.address().to_string();
  const std::string port = std::to_string(endpoint.port());
  return endpoint.address().is_v6() ? "[" + host + "]:" + port : host + ":" + port;
}

/// Has the kernel drop the first packet of a handshake, so that no more connections come
/// while those that have come are accepted. Who is dropped tries again a second later and
/// finds the port closed: balancers then ask another node, whatever the method, while a
/// connection that is reset after it was made may cost them a POST.
void refuse_new(int listener) {
  constexpr uint32_t kTcpFlags = 13;
  constexpr uint32_t kSyn = 0x02;
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kTcpFlags),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, kSyn, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0),
      BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
  };
  const sock_fprog filter{static_cast<unsigned short>(std::size(code)), code};
  // Where it is not allowed, only that second's comfort is missing.
  ::setsockopt(listener, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
}

}  // namespace

class Server::Impl {
 public:
  Impl(Options options, Metrics& metrics)
      : options_(options), shared_(metrics, options.idle_timeout_ms) {
    shared_.on_stream_thread = [this](std::function<void()> task) {
      ignore(streams_->submit(std::move(task)), "it is refused at the end only, when all close");
    };
    shared_.on_closed = [this] { on_closed(); };
    for (unsigned i = 0; i < std::max(options.io_threads, 1U); ++i) {
      threads_.push_back(std::make_unique<IoThread>(i, shared_));
    }
  }
  ~Impl() { stop(0); }

  Result<std::string> listen(Listener listener) {
    auto wanted = TRY(parse_host_port(listener.address));
    auto endpoint = TRY(resolve(wanted, listener.address));
    auto gate = std::make_unique<Gate>(*this, listening_);
    error_code ec;
    gate->acceptor.open(endpoint.protocol(), ec);
    if (!ec) gate->acceptor.set_option(tcp::acceptor::reuse_address(true), ec);
    if (!ec) gate->acceptor.bind(endpoint, ec);
    if (!ec) gate->acceptor.listen(asio::socket_base::max_listen_connections, ec);
    if (!ec) gate->acceptor.non_blocking(true, ec);
    if (!ec) endpoint = gate->acceptor.local_endpoint(ec);
    if (ec) return Error(Errc::io, "cannot listen on " + listener.address + ": " + ec.message());
    gate->site.limits = {listener.max_body_bytes, std::move(listener.large_body_paths),
                         listener.large_body_bytes, std::move(listener.refuse_large), budget_};
    gate->name = listener.name;
    gate->connections_most = listener.max_connections;
    gate->site.answer_took = &shared_.metrics.histogram(
        "clickmill_http_answer_seconds", "From a whole request to the begin of its answer.",
        "listener=\"" + listener.name + "\"");
    gate->site.expects_proxy_header = std::move(listener.expects_proxy_header);
    gate->site.handler = std::move(listener.handler);
    gate->site.finish = std::move(listener.finish);
    gates_.push_back(std::move(gate));
    return endpoint_text(endpoint);
  }

  void start() {
    started_ = true;
    // Each connection has one task at most.
    streams_ = std::make_unique<TaskPool>("query", kStreamThreads, SIZE_MAX);
    for (auto& thread : threads_) thread->start();
    first().post([this] { resume(); });
  }

  void every(uint32_t interval_ms, std::function<void()> task) {
    first().post([this, interval = std::chrono::milliseconds(interval_ms),
                  task = std::make_shared<const std::function<void()>>(std::move(task))] {
      repeat(interval, task);
    });
  }

  void set_tls(const std::shared_ptr<const TlsContext>& tls) {
    for (auto& gate : gates_) gate->site.set_tls(tls);
  }

  std::vector<std::string> troubles() const {
    std::vector<std::string> out;
    for (const auto& gate : gates_) {
      if (gate->waits == Waits::connections)
        out.push_back(gate->name + ": as many connections as it may have; further ones wait");
      if (gate->waits == Waits::descriptors)
        out.push_back(gate->name + ": no descriptors for further connections; they wait");
    }
    return out;
  }

  void end_connections() {
    for (auto& thread : threads_) thread->post([&thread] { thread->end_connections(); });
  }

  void stop(uint32_t drain_ms) {
    if (!started_ || stopped_) return;
    stopped_ = true;
    end_connections();
    if (drain_ms > 0) {
      on_first([this] {
        for (auto& gate : gates_) refuse_new(gate->acceptor.native_handle());
      });
      // Handshakes under way end meanwhile, and their connections are served.
      std::this_thread::sleep_for(kHandshakeTime);
    }
    on_first([this] {
      for (auto& gate : gates_) accept_waiting(*gate);
      draining_ = true;
      gates_close();
    });
    for (auto& thread : threads_) thread->post([&thread] { thread->drain(); });
    {
      std::unique_lock lock(mutex_);
      all_gone_.wait_for(lock, std::chrono::milliseconds(drain_ms), [this] { return open_ == 0; });
    }
    for (auto& thread : threads_) thread->join();
    streams_->stop();
  }

 private:
  /// What a further connection waits for.
  enum class Waits : uint8_t { nothing, connections, descriptors };
  struct Gate final : EventLoop::Source {
    Gate(Impl& of_server, asio::io_context& context) : server(of_server), acceptor(context) {}
    void on_events(uint32_t) override {
      server.stop_waiting(*this);
      server.accept_some(*this);
    }
    Impl& server;
    Site site;
    std::string name;
    std::atomic<Waits> waits{Waits::nothing};
    uint32_t connections_most = 0;
    tcp::acceptor acceptor;
    bool waiting = false;
  };

  IoThread& first() { return *threads_.front(); }

  void on_first(const std::function<void()>& task) {
    std::promise<void> done;
    first().post([&] {
      task();
      done.set_value();
    });
    done.get_future().wait();
  }

  Result<tcp::endpoint> resolve(const HostPort& wanted, const std::string& text) {
    error_code ec;
    const auto address = asio::ip::make_address(wanted.host, ec);
    if (!ec) return tcp::endpoint(address, wanted.port);
    tcp::resolver resolver(listening_);
    const auto found = resolver.resolve(wanted.host, std::to_string(wanted.port), ec);
    if (ec || found.empty()) {
      return Error(Errc::io, "cannot listen on " + text + ": " + ec.message());
    }
    return found.begin()->endpoint();
  }

  // Accepting, on the first io thread; connections go to all threads in turn.

  /// Tries at once: where nobody waits any more, no event would tell so.
  void resume() {
    for (auto& gate : gates_) {
      if (!gate->waiting) accept_some(*gate);
    }
  }

  void await(Gate& gate) {
    if (gate.waiting || draining_) return;
    gate.waiting = first().loop()->watch(gate.acceptor.native_handle(), EPOLLIN, gate);
    if (!gate.waiting) pause(gate, errno);
  }

  void stop_waiting(Gate& gate) {
    if (!std::exchange(gate.waiting, false)) return;
    first().loop()->unwatch(gate.acceptor.native_handle(), gate);
  }

  void accept_some(Gate& gate) {
    for (int i = 0; i < kAcceptsAtOnce && !draining_; ++i) {
      const bool at_most = full(gate);
      if (at_most || !leaves_descriptors(gate)) {
        gate.waits = at_most ? Waits::connections : Waits::descriptors;
        make_room();
        return try_later(gate);
      }
      if (accept_one(gate)) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) break;
      return pause(gate, errno);
    }
    gate.waits = Waits::nothing;
    await(gate);
  }

  /// False: errno says why not.
  bool accept_one(Gate& gate) {
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    const int fd = ::accept4(gate.acceptor.native_handle(), reinterpret_cast<sockaddr*>(&peer),
                             &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return errno == EINTR || errno == ECONNABORTED;
    hand_out(gate.site, fd, peer_ip(peer, size));
    return true;
  }

  /// What has connected and was not accepted yet would be reset by the close.
  void accept_waiting(Gate& gate) {
    while (!at_limit(gate) && leaves_descriptors(gate) && accept_one(gate)) {
    }
  }

  bool at_limit(const Gate& gate) const {
    return open_ >= options_.max_connections || gate.site.open >= gate.connections_most;
  }

  /// The next connection that closes resumes.
  bool full(const Gate& gate) {
    if (!at_limit(gate)) return false;
    paused_ = true;
    // One may have closed just before it could see the flag.
    return at_limit(gate) || !paused_.exchange(false);
  }

  void hand_out(Site& site, int fd, std::string ip) {
    ++open_;
    ++site.open;
    shared_.connections.add(1);
    IoThread& thread = *threads_[next_thread_++ % threads_.size()];
    thread.post(
        [&thread, &site, fd, peer = std::move(ip)] { open_connection(thread, site, fd, peer); });
  }

  /// Whether a further connection leaves enough descriptors to journal, log and store,
  /// which people wait for more than for another connection. The kernel gives the lowest
  /// number that is free, so all below it are in use.
  bool leaves_descriptors(Gate& gate) {
    if (open_ < kConnectionsLeast) return true;
    const int lowest = ::fcntl(gate.acceptor.native_handle(), F_DUPFD_CLOEXEC, 0);
    if (lowest >= 0) ::close(lowest);
    return lowest >= 0 && static_cast<uint64_t>(lowest) < descriptors_for_us_;
  }

  /// At a limit, clients that keep a connection and ask nothing make room for others.
  void make_room() {
    for (auto& thread : threads_) thread->post([&thread] { thread->close_idle(kIdleLeastMs); });
  }

  void pause(Gate& gate, int error) {
    log_warn("http", std::string("accept failed: ") + std::strerror(error));
    if (error == EMFILE || error == ENFILE) gate.waits = Waits::descriptors;
    try_later(gate);
  }

  void try_later(Gate& gate) {
    first().loop()->after(kAcceptPause, [this, &gate] { await(gate); });
  }

  void on_closed() {
    shared_.connections.add(-1);
    const bool last = --open_ == 0;
    if (paused_ && paused_.exchange(false)) first().post([this] { resume(); });
    if (!last) return;
    std::lock_guard lock(mutex_);
    all_gone_.notify_all();
  }

  void gates_close() {
    error_code ignored;
    for (auto& gate : gates_) {
      stop_waiting(*gate);
      gate->acceptor.close(ignored);
    }
  }

  void repeat(std::chrono::milliseconds interval,
              const std::shared_ptr<const std::function<void()>>& task) {
    first().loop()->after(interval, [this, interval, task] {
      repeat(interval, task);
      (*task)();
    });
  }

  const Options options_;
  const uint64_t descriptors_for_us_ = descriptors_of_process() - descriptors_kept();
  const std::shared_ptr<BodyBudget> budget_ =
      std::make_shared<BodyBudget>(options_.large_bodies_bytes);
  Shared shared_;
  std::unique_ptr<TaskPool> streams_;
  asio::io_context listening_;  ///< of the listeners' sockets; never run
  std::vector<std::unique_ptr<IoThread>> threads_;
  std::vector<std::unique_ptr<Gate>> gates_;
  size_t next_thread_ = 0;  ///< first io thread
  bool draining_ = false;   ///< first io thread
  bool started_ = false;
  bool stopped_ = false;
  std::atomic<uint32_t> open_{0};
  std::atomic<bool> paused_{false};
  // Guards nothing but the wait for open_ == 0: stop() must not miss the last one.
  std::mutex mutex_;
  std::condition_variable all_gone_;
};

Server::Server(Options options, Metrics& metrics)
    : impl_(std::make_unique<Impl>(options, metrics)) {}
Server::~Server() = default;
Result<std::string> Server::listen(Listener listener) { return impl_->listen(std::move(listener)); }
void Server::start() { impl_->start(); }
void Server::every(uint32_t interval_ms, std::function<void()> task) {
  impl_->every(interval_ms, std::move(task));
}
void Server::set_tls(const std::shared_ptr<const TlsContext>& tls) { impl_->set_tls(tls); }
std::vector<std::string> Server::troubles() const { return impl_->troubles(); }
void Server::end_connections() { impl_->end_connections(); }
void Server::stop(uint32_t drain_ms) { impl_->stop(drain_ms); }

}  // namespace clickmill::http
