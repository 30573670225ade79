#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/metrics.h"
#include "http/connection.h"
#include "http/event_loop.h"
#include "http/message.h"

namespace clickmill::http {

/// Answers on their way from any thread to an io thread. Only the first of a
/// batch wakes the thread (LaterWakes), so many answers at once cost one wake-up.
/// Outlives its thread in the hands of unanswered requests: then it drops them.
/// Thread: push any; the rest io or after its end.
/// The mutex guards the queue between them. A Mailbox would need a thread that waits on it; an
/// io thread waits in epoll.
class AnswerBox {
 public:
  explicit AnswerBox(std::shared_ptr<EventLoop> loop) : loop_(std::move(loop)) {}
  void push(std::shared_ptr<Connection> connection, Response&& response);
  void deliver();
  void close();
  /// Whether the caller runs on the box's thread.
  bool here() const;
  void run_here();

 private:
  struct Item {
    std::shared_ptr<Connection> connection;
    Response response;
  };
  const std::shared_ptr<EventLoop> loop_;
  std::mutex mutex_;
  std::vector<Item> waiting_;
  bool closed_ = false;
  std::vector<Item> delivering_;  ///< io thread only
};

int64_t monotonic_ms();

/// What the io threads of one server share. Thread: any.
struct Shared {
  Shared(Metrics& of_node, uint32_t idle_ms);
  void count(int status) { by_class[static_cast<size_t>(status / 100 % 6)]->add(); }
  Metrics& metrics;
  uint32_t idle_timeout_ms;
  std::vector<Counter*> by_class;  ///< [2] counts the 2xx; [0] and [1] share [5]
  Gauge& connections;
  Counter& proxy_headers_refused;
  Counter& tls_handshakes_failed;
  /// A connection has gone; called on its io thread.
  std::function<void()> on_closed;
  /// Runs BodyStream::next, which may be slow, on another thread.
  std::function<void(std::function<void()>)> on_stream_thread;
};

/// One thread, its event loop and its connections, with one coarse timer for
/// all their deadlines. Thread: construct, start, join on one; post any; the rest io.
class IoThread {
 public:
  IoThread(unsigned index, Shared& shared);
  ~IoThread();
  void start();
  /// Runs `task` here, in the order of the calls.
  void post(std::function<void()> task);
  /// Closes everything and ends the thread; returns when it has ended.
  void join();

  const std::shared_ptr<EventLoop>& loop() { return loop_; }
  Shared& shared() { return shared_; }
  const std::shared_ptr<AnswerBox>& answers() const { return answers_; }
  /// Monotonic, as of the last sweep.
  int64_t now_ms() const { return now_ms_; }
  bool draining() const { return draining_; }
  /// Every answer is its connection's last.
  bool ending() const { return ending_; }
  void add(std::shared_ptr<Connection> connection);
  void remove(Connection& connection);
  void end_connections() { ending_ = true; }
  void drain();
  /// Closes those whose client has asked nothing for `idle_ms`.
  void close_idle(int64_t idle_ms);

 private:
  void run();
  void arm_sweep();
  void close_all();
  void sweep();
  void close_expired(int64_t now_ms);
  std::vector<std::shared_ptr<Connection>> all() const;

  const unsigned index_;
  Shared& shared_;
  const std::chrono::milliseconds sweep_period_;
  const std::shared_ptr<EventLoop> loop_;
  std::shared_ptr<AnswerBox> answers_;
  std::unordered_map<Connection*, std::shared_ptr<Connection>> connections_;
  int64_t now_ms_ = 0;
  bool draining_ = false;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace clickmill::http
