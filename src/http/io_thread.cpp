#include "http/io_thread.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <exception>

#include "base/logging.h"
#include "base/wakes.h"

namespace clickmill::http {
namespace {

thread_local const AnswerBox* box_of_this_thread = nullptr;

}  // namespace

int64_t monotonic_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

bool AnswerBox::here() const { return box_of_this_thread == this; }
void AnswerBox::run_here() { box_of_this_thread = this; }

void AnswerBox::push(std::shared_ptr<Connection> connection, Response&& response) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    waiting_.push_back({std::move(connection), std::move(response)});
    // Whoever found it empty wakes the thread, or will.
    if (waiting_.size() > 1) return;
  }
  LaterWakes::wake(loop_);
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
  closed_ = true;
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

IoThread::IoThread(unsigned index, Shared& shared)
    : index_(index),
      shared_(shared),
      sweep_period_(std::clamp<uint32_t>(shared.idle_timeout_ms / 4, 10, 1'000)),
      loop_(std::make_shared<EventLoop>()),
      answers_(std::make_shared<AnswerBox>(loop_)),
      now_ms_(monotonic_ms()) {
  loop_->set_on_wake([this] { answers_->deliver(); });
}

IoThread::~IoThread() {
  join();
  // Whoever still has to answer may do so at any later time.
  answers_->close();
  loop_->forget();
}

void IoThread::start() {
  arm_sweep();
  thread_ = std::thread([this] { run(); });
}

void IoThread::arm_sweep() {
  loop_->after(sweep_period_, [this] {
    arm_sweep();
    sweep();
  });
}

void IoThread::run() {
  ::pthread_setname_np(::pthread_self(), ("io-" + std::to_string(index_)).c_str());
  answers_->run_here();
  while (!loop_->stopped()) {
    try {
      loop_->run();
    } catch (const std::exception& escaped) {
      log_error("http", std::string("a task on an io thread failed: ") + escaped.what());
    }
  }
}

void IoThread::post(std::function<void()> task) { loop_->post(std::move(task)); }

void IoThread::join() {
  if (!thread_.joinable()) return;
  post([this] {
    close_all();
    loop_->stop();
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
