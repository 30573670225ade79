#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace clickmill::collector {

/// Answers that must be given by some time, all after the same delay, so that they
/// stand in order. One that was given early, and so is gone, is not held here.
/// Thread: any. The mutex guards the queue, which io threads fill and one sweeps;
/// nothing is called under it.
template <typename Answer>
class Deadlines {
 public:
  void add(int64_t deadline_ns, const std::shared_ptr<Answer>& answer) {
    std::lock_guard lock(mutex_);
    queue_.emplace_back(deadline_ns, answer);
  }
  std::vector<std::shared_ptr<Answer>> take_due(int64_t now_ns) {
    std::vector<std::shared_ptr<Answer>> due;
    std::lock_guard lock(mutex_);
    // An expired one at the front was answered long ago; no need to wait for its deadline.
    while (!queue_.empty() && (queue_.front().first <= now_ns || queue_.front().second.expired())) {
      if (auto answer = queue_.front().second.lock()) due.push_back(std::move(answer));
      queue_.pop_front();
    }
    return due;
  }

 private:
  std::mutex mutex_;
  std::deque<std::pair<int64_t, std::weak_ptr<Answer>>> queue_;
};

}  // namespace clickmill::collector
