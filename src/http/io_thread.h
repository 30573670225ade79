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
#include "http/message.h"

namespace boost::asio {
class io_context;
}

namespace clickmill::http {

/// Answers on their way from any thread to an io thread. Only the first of a
/// batch wakes the thread, so many answers at once cost one wake-up.
/// Outlives its thread in the hands of unanswered requests: then it drops them.
/// Thread: push any; the rest io or after its end.
/// The mutex guards the queue, and the io_context's life against close().
/// A Mailbox would need a thread that waits on it; an io thread waits in epoll.
class AnswerBox {
 public:
  explicit AnswerBox(boost::asio::io_context& context) : context_(&context) {}
  static void push(const std::shared_ptr<AnswerBox>& box, std::shared_ptr<Connection> connection,
                   Response&& response);
  void close();
  /// Whether the caller runs on the box's thread.
  bool here() const;
  void run_here();

 private:
  struct Item {
    std::shared_ptr<Connection> connection;
    Response response;
  };
  void deliver();
  std::mutex mutex_;
  std::vector<Item> waiting_;
  std::vector<Item> delivering_;      ///< io thread only
  boost::asio::io_context* context_;  ///< null once closed
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
  /// Runs BodyStream::next, which may be slow.
  boost::asio::io_context* streams = nullptr;
};

/// One thread, its io_context and its connections, with one coarse timer for
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

  boost::asio::io_context& context() { return *context_; }
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
  class Sweeper;
  void run();
  void close_all();
  void sweep();
  void close_expired(int64_t now_ms);
  std::vector<std::shared_ptr<Connection>> all() const;

  const unsigned index_;
  Shared& shared_;
  std::unique_ptr<boost::asio::io_context> context_;
  std::unique_ptr<Sweeper> sweeper_;
  std::shared_ptr<AnswerBox> answers_;
  std::unordered_map<Connection*, std::shared_ptr<Connection>> connections_;
  int64_t now_ms_ = 0;
  bool draining_ = false;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace clickmill::http
