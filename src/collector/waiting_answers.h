#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <utility>

#include "collector/click_answer.h"

namespace clickmill::collector {

/// Answers beside a queue of clicks, in its order. `place` says whose an answer is: it never
/// falls from one to the next.
/// An answer that was given is gone, and makes room when the next one comes: so this holds
/// no more than those of the last so many seconds, however long the clicks stay.
/// Thread: none of its own (the spool's lock).
class WaitingAnswers {
 public:
  using Answer = std::weak_ptr<ClickAnswer>;
  /// A click without an answer has nothing to add.
  void add(uint64_t place, Answer&& answer) {
    while (!queue_.empty() && queue_.front().second.expired()) queue_.pop_front();
    if (!answer.expired()) queue_.emplace_back(place, std::move(answer));
  }
  /// Takes out those of clicks up to `place`; gives those at `place` itself to `take`.
  template <typename Take>
  void take(uint64_t place, const Take& take) {
    for (; !queue_.empty() && queue_.front().first <= place; queue_.pop_front()) {
      if (queue_.front().first == place) take(std::move(queue_.front().second));
    }
  }
  size_t size() const { return queue_.size(); }

 private:
  std::deque<std::pair<uint64_t, Answer>> queue_;
};

}  // namespace clickmill::collector
