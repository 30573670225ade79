#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace clickmill::collector {

/// Answers that must be given by some time, all after the same delay, so that they
/// stand in order. Whoever will give one early holds it: when that was done, it is gone from
/// here too. keep() is for those that nobody else holds.
/// Thread: any. The mutex guards the queue, which io threads fill and one sweeps;
/// nothing is called under it but Answer::answered.
template <typename Answer>
class Deadlines {
 public:
  void add(int64_t deadline_ns, const std::shared_ptr<Answer>& answer) {
    std::lock_guard lock(mutex_);
    queue_.push_back({deadline_ns, answer, nullptr});
  }
  /// Holds it until its time, or until it was answered.
  void keep(int64_t deadline_ns, const std::shared_ptr<Answer>& answer) {
    std::lock_guard lock(mutex_);
    queue_.push_back({deadline_ns, answer, answer});
  }
  /// Those whose time has come, and others that were answered already.
  std::vector<std::shared_ptr<Answer>> take_due(int64_t now_ns) {
    std::vector<std::shared_ptr<Answer>> due;
    std::lock_guard lock(mutex_);
    // One at the front that was answered long ago need not wait for its deadline.
    while (!queue_.empty() && (queue_.front().deadline_ns <= now_ns || queue_.front().over())) {
      if (auto answer = queue_.front().answer.lock()) due.push_back(std::move(answer));
      queue_.pop_front();
    }
    return due;
  }

 private:
  struct Waiting {
    int64_t deadline_ns;
    std::weak_ptr<Answer> answer;
    std::shared_ptr<Answer> kept;
    bool over() const { return kept ? kept->answered() : answer.expired(); }
  };
  std::mutex mutex_;
  std::deque<Waiting> queue_;
};

}  // namespace clickmill::collector
