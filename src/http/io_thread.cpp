#include "http/io_thread.h"

#include <pthread.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <exception>

#include "base/logging.h"

namespace clickmill::http {
namespace {

namespace asio = boost::asio;

thread_local const AnswerBox* box_of_this_thread = nullptr;

}  // namespace

int64_t monotonic_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

bool AnswerBox::here() const { return box_of_this_thread == this; }
void AnswerBox::run_here() { box_of_this_thread = this; }

void AnswerBox::push(const std::shared_ptr<AnswerBox>& box, std::shared_ptr<Connection> connection,
                     Response&& response) {
  Item item{std::move(connection), std::move(response)};
  std::lock_guard lock(box->mutex_);
  if (box->context_ == nullptr) return;
  box->waiting_.push_back(std::move(item));
  if (box->waiting_.size() == 1) asio::post(*box->context_, [box] { box->deliver(); });
}

void AnswerBox::deliver() {
  {
    std::lock_guard lock(mutex_);
    delivering_.swap(waiting_);
  }
  for (Item& item : delivering_) {
    try {
      item.connection->answer(std::move(item.response));
    } catch (const std::exception& escaped) {
      log_error("http", std::string("an answer could not be written: ") + escaped.what());
      item.connection->close();
    }
  }
  delivering_.clear();
}

void AnswerBox::close() {
  std::vector<Item> dropped;
  std::lock_guard lock(mutex_);
  context_ = nullptr;
  dropped.swap(waiting_);
}

Shared::Shared(Metrics& of_node, uint32_t idle_ms)
    : metrics(of_node),
      idle_timeout_ms(idle_ms),
      connections(metrics.gauge("clickmill_http_connections", "Open HTTP connections.")),
      proxy_headers_refused(
          metrics.counter("clickmill_http_proxy_headers_refused_total",
                          "Connections closed for what stood in place of a PROXY header.")),
      tls_handshakes_failed(metrics.counter("clickmill_http_tls_handshakes_failed_total",
                                            "Connections that ended before TLS was agreed on.")) {
  by_class.resize(6);
  for (size_t i = 2; i < by_class.size(); ++i) {
    by_class[i] = &metrics.counter("clickmill_http_requests_total", "HTTP requests answered.",
                                   "code=\"" + std::to_string(i) + "xx\"");
  }
  by_class[0] = by_class[1] = by_class[5];
}

class IoThread::Sweeper {
 public:
  Sweeper(asio::io_context& context, uint32_t idle_timeout_ms)
      : period_(std::clamp<uint32_t>(idle_timeout_ms / 4, 10, 1'000)),
        work(context.get_executor()),
        timer_(context) {}
  void arm(IoThread& thread) {
    timer_.expires_after(period_);
    timer_.async_wait([&thread, this](const boost::system::error_code& ec) {
      if (ec) return;
      thread.sweep();
      arm(thread);
    });
  }

 private:
  std::chrono::milliseconds period_;
  asio::executor_work_guard<asio::io_context::executor_type> work;
  asio::steady_timer timer_;
};

IoThread::IoThread(unsigned index, Shared& shared)
    : index_(index),
      shared_(shared),
      context_(std::make_unique<asio::io_context>(1)),
      sweeper_(std::make_unique<Sweeper>(*context_, shared.idle_timeout_ms)),
      answers_(std::make_shared<AnswerBox>(*context_)),
      now_ms_(monotonic_ms()) {}

IoThread::~IoThread() {
  join();
  // Whoever still has to answer may do so at any later time.
  answers_->close();
}

void IoThread::start() {
  sweeper_->arm(*this);
  thread_ = std::thread([this] { run(); });
}

void IoThread::run() {
  ::pthread_setname_np(::pthread_self(), ("io-" + std::to_string(index_)).c_str());
  answers_->run_here();
  while (!context_->stopped()) {
    try {
      context_->run();
    } catch (const std::exception& escaped) {
      log_error("http", std::string("a task on an io thread failed: ") + escaped.what());
    }
  }
}

void IoThread::post(std::function<void()> task) { asio::post(*context_, std::move(task)); }

void IoThread::join() {
  if (!thread_.joinable()) return;
  post([this] {
    close_all();
    context_->stop();
  });
  thread_.join();
}

void IoThread::add(std::shared_ptr<Connection> connection) {
  Connection* const key = connection.get();
  connections_.emplace(key, std::move(connection));
}

void IoThread::remove(Connection& connection) {
  connections_.erase(&connection);
  shared_.on_closed();
}

void IoThread::drain() {
  draining_ = ending_ = true;
  for (const auto& connection : all()) connection->drain();
}

void IoThread::close_all() {
  for (const auto& connection : all()) connection->close();
}

void IoThread::sweep() {
  now_ms_ = monotonic_ms();
  close_expired(now_ms_);
}

void IoThread::close_idle(int64_t idle_ms) {
  close_expired(monotonic_ms() + shared_.idle_timeout_ms - idle_ms);
}

/// As it would be at that time.
void IoThread::close_expired(int64_t now_ms) {
  std::vector<std::shared_ptr<Connection>> late;
  for (const auto& [key, connection] : connections_) {
    if (connection->expired(now_ms)) late.push_back(connection);
  }
  for (const auto& connection : late) connection->close();
}

std::vector<std::shared_ptr<Connection>> IoThread::all() const {
  std::vector<std::shared_ptr<Connection>> out;
  out.reserve(connections_.size());
  for (const auto& [key, connection] : connections_) out.push_back(connection);
  return out;
}

}  // namespace clickmill::http
