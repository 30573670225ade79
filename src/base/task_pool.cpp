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

bool TaskPool::submit(Task task) {
  {
    std::lock_guard lock(mutex_);
    if (stopping_ || queue_.size() - next_ >= queue_most_) return false;
    queue_.push_back(std::move(task));
  }
  ready_.notify_one();
  return true;
}

void TaskPool::run() {
  while (true) {
    Task task;
    {
      std::unique_lock lock(mutex_);
      ready_.wait(lock, [&] { return stopping_ || next_ < queue_.size(); });
      if (next_ == queue_.size()) return;
      task = std::move(queue_[next_++]);
      if (next_ == queue_.size()) {
        queue_.clear();
        next_ = 0;
      }
    }
    task();
  }
}

void TaskPool::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  ready_.notify_all();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

}  // namespace clickmill
