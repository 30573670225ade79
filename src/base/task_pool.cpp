#include "base/task_pool.h"

#include <pthread.h>

#include "base/give_way.h"

namespace clickmill {

TaskPool::TaskPool(const std::string& name, unsigned threads, size_t queue_most, int nice)
    : queue_most_(queue_most) {
  for (unsigned i = 0; i < threads; ++i) {
    const std::string thread_name = threads == 1 ? name : name + "-" + std::to_string(i);
    threads_.emplace_back([this, thread_name, nice] {
      pthread_setname_np(pthread_self(), thread_name.substr(0, 15).c_str());
      if (nice != 0) give_way(nice);
      run();
    });
  }
}

bool TaskPool::submit(Task task, AtStop at_stop) {
  {
    std::lock_guard lock(mutex_);
    if (stopping_ || queue_.size() >= queue_most_) return false;
    queue_.push_back({std::move(task), at_stop});
  }
  ready_.notify_one();
  return true;
}

void TaskPool::run() {
  while (true) {
    Task task;
    {
      std::unique_lock lock(mutex_);
      ready_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      task = std::move(queue_.front().task);
      queue_.pop_front();
    }
    task();
  }
}

void TaskPool::stop() {
  std::deque<Waiting> waiting;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    waiting.swap(queue_);
    for (Waiting& task : waiting) {
      if (task.at_stop == AtStop::run) queue_.push_back(std::move(task));
    }
  }
  waiting.clear();
  ready_.notify_all();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

}  // namespace clickmill
