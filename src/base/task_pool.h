#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/mailbox.h"

namespace clickmill {

/// A few threads for work that may take a while (queries, bulk bodies, catalog
/// writes, sealing), with a bounded queue. Thread: any.
class TaskPool {
 public:
  using Task = std::function<void()>;
  /// Threads are named `<name>-0` … or `<name>` when there is one.
  /// `nice`: see give_way(); 0 is like all others.
  TaskPool(const std::string& name, unsigned threads, size_t queue_most, int nice = 0);
  ~TaskPool() { stop(); }
  TaskPool(const TaskPool&) = delete;
  TaskPool& operator=(const TaskPool&) = delete;

  /// What becomes of a task that still waits when the pool stops.
  enum class AtStop : uint8_t { forget, run };
  /// False when the queue is full or the pool stopped; the task is not run then.
  [[nodiscard]] bool submit(Task task, AtStop at_stop = AtStop::forget);
  /// Finishes what is running and runs what asked for it, then ends the threads: nobody
  /// waits for hours of merges.
  void stop();

 private:
  void run();

  std::mutex mutex_;  // guards the queue: many takers, so not a Mailbox
  std::condition_variable ready_;
  struct Waiting {
    Task task;
    AtStop at_stop;
  };
  std::deque<Waiting> queue_;
  const size_t queue_most_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace clickmill
