#pragma once

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

  /// False when the queue is full or the pool stopped; the task is not run then.
  [[nodiscard]] bool submit(Task task);
  /// Runs what waits, then ends the threads.
  void stop();

 private:
  void run();

  std::mutex mutex_;  // guards the queue: many takers, so not a Mailbox
  std::condition_variable ready_;
  std::vector<Task> queue_;
  size_t next_ = 0;
  const size_t queue_most_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace clickmill
