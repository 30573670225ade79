#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <vector>

#include "base/wakes.h"

struct epoll_event;

namespace clickmill::http {

/// One thread's epoll: who is ready, what was posted, whose time has come.
/// Thread: post and wake any; the rest the one that runs it, or before it runs.
class EventLoop final : public Sleeper {
 public:
  class Source {
   public:
    /// EPOLLIN, EPOLLOUT, … of its descriptor. It may unwatch itself, and end.
    virtual void on_events(uint32_t events) = 0;

   protected:
    ~Source() = default;
  };
  using Task = std::function<void()>;

  EventLoop();
  ~EventLoop() override;
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  /// False: the descriptor can't be watched, errno says why.
  bool watch(int descriptor, uint32_t events, Source& source);
  /// What is on its way to the source is forgotten, too.
  void unwatch(int descriptor, const Source& source);
  /// Runs `task` on the loop's thread, in the order of the calls.
  void post(Task task);
  /// Has on_wake() called on the loop's thread. A system call only when that sleeps.
  void wake() override;
  void set_on_wake(Task task) { on_wake_ = std::move(task); }
  void after(std::chrono::milliseconds delay, Task task);

  /// Until stop(). An exception of a task, a source or a timer passes through; run() may be
  /// called again and goes on behind it.
  void run();
  void stop() { stopped_ = true; }
  /// What was posted and never ran goes, and what it holds. After run().
  void forget();
  bool stopped() const { return stopped_; }

 private:
  using Steady = std::chrono::steady_clock;
  void wait();
  int timeout_ms() const;
  void run_timers();
  void run_posted();

  int epoll_ = -1;
  int waker_ = -1;
  Task on_wake_;
  std::multimap<Steady::time_point, Task> timers_;
  std::vector<epoll_event> ready_;
  size_t next_ready_ = 0;  ///< of the first ready_count_
  size_t ready_count_ = 0;
  bool stopped_ = false;

  // Who wakes says so first and then asks whether the loop sleeps; the loop says that it will
  // sleep and then asks whether somebody woke it: one of them always sees the other.
  std::atomic<bool> woken_{false};
  std::atomic<bool> sleeps_{false};
  std::mutex mutex_;  // guards posted_
  std::vector<Task> posted_;
  std::vector<Task> running_;  ///< taken from posted_
};

}  // namespace clickmill::http
