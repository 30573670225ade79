#pragma once

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "base/wakes.h"

namespace clickmill {

/// Bounded queue from any threads to one. Full means try_push answers false,
/// never a wait: whoever sends decides what to do with its message then.
/// Who sends under LaterWakes wakes the consumer at the end of that.
/// Thread: try_push, push_always, close any; take one consumer.
template <typename T>
class Mailbox {
 public:
  explicit Mailbox(size_t capacity) : capacity_(capacity) {}

  [[nodiscard]] bool try_push(T&& message) {
    {
      std::lock_guard lock(mutex_);
      if (closed_ || queue_.size() >= capacity_) return false;
      queue_.push_back(std::move(message));
      if (queue_.size() > 1) return true;
    }
    LaterWakes::wake(bell_);
    return true;
  }

  /// For messages whose number is bounded elsewhere (answers, journal
  /// completions): never refused. False once closed.
  bool push_always(T&& message) {
    {
      std::lock_guard lock(mutex_);
      if (closed_) return false;
      queue_.push_back(std::move(message));
      if (queue_.size() > 1) return true;
    }
    LaterWakes::wake(bell_);
    return true;
  }

  /// Moves everything that waits into `out` (cleared first), waiting for a
  /// message until the steady-clock deadline passes. False when closed and empty.
  template <typename TimePoint>
  bool take(std::vector<T>& out, TimePoint deadline) {
    out.clear();
    std::unique_lock lock(mutex_);
    bell_->rung.wait_until(lock, deadline, [&] { return closed_ || !queue_.empty(); });
    out.swap(queue_);
    return !(closed_ && out.empty());
  }

  void close() {
    {
      std::lock_guard lock(mutex_);
      closed_ = true;
    }
    bell_->rung.notify_all();
  }

  size_t size() const {
    std::lock_guard lock(mutex_);
    return queue_.size();
  }

 private:
  struct Bell final : Sleeper {
    void wake() override { rung.notify_one(); }
    std::condition_variable rung;
  };
  const size_t capacity_;
  mutable std::mutex mutex_;
  const std::shared_ptr<Bell> bell_ = std::make_shared<Bell>();
  std::vector<T> queue_;
  bool closed_ = false;
};

}  // namespace clickmill
