#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/mailbox.h"

namespace clickmill::cluster {

/// A thread that owns partitions. Everything about them happens in its messages.
/// It works in turns: all that waits, and then whoever was told something is woken, once.
/// Thread: post any; the rest by the owner.
class Worker {
 public:
  using Message = std::function<void()>;
  explicit Worker(std::string name) : name_(std::move(name)), mailbox_(kMailboxMost) {}
  ~Worker() { stop(); }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// `idle` runs between messages; true asks to be called again at once (replay),
  /// false in at most `period`.
  void start(std::function<bool()> idle, std::chrono::milliseconds period);
  /// What soon() asks for. Before start() or the first step().
  void set_soon(Message work) { soon_ = std::move(work); }
  /// Has that done in the next turn, behind its messages, once for all who ask meanwhile.
  /// Thread: any.
  void soon();
  /// The same a millisecond later at the latest, for who must try again. Thread: its own.
  void soon_again();
  /// For messages whose number is bounded by what they answer to. False once stopped.
  bool post(Message message) { return mailbox_.push_always(std::move(message)); }
  /// For requests from outside: false when too many wait already.
  [[nodiscard]] bool try_post(Message message) { return mailbox_.try_push(std::move(message)); }
  /// Runs what waits, then ends the thread.
  void stop();
  /// Runs up to `most` messages on the calling thread, for an owner that never
  /// calls start(); false when none waited.
  bool step(size_t most);

 private:
  using Steady = std::chrono::steady_clock;
  static constexpr size_t kMailboxMost = 16'384;
  void run(const std::function<bool()>& idle, std::chrono::milliseconds period);
  void turn(std::vector<Message>& messages, Steady::time_point now);
  void do_soon();

  const std::string name_;
  Mailbox<Message> mailbox_;
  std::deque<Message> stepping_;  ///< taken by step() and not run yet
  Message soon_;
  std::atomic<bool> soon_asked_{false};
  Steady::time_point soon_at_ = Steady::time_point::max();  ///< the thread's own
  std::thread thread_;
};

}  // namespace clickmill::cluster
