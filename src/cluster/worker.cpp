#include "cluster/worker.h"

#include <pthread.h>

namespace clickmill::cluster {

void Worker::start(std::function<bool()> idle, std::chrono::milliseconds period) {
  thread_ = std::thread([this, idle = std::move(idle), period] {
    pthread_setname_np(pthread_self(), name_.c_str());
    run(idle, period);
  });
}

void Worker::run(const std::function<bool()>& idle, std::chrono::milliseconds period) {
  using Steady = std::chrono::steady_clock;
  std::vector<Message> messages;
  auto next_idle = Steady::now();
  while (mailbox_.take(messages, next_idle)) {
    for (Message& message : messages) message();
    // Destroyed here, on the owning thread, not when the next take() clears them.
    messages.clear();
    if (Steady::now() < next_idle) continue;
    const bool again = idle();
    next_idle = Steady::now() + (again ? std::chrono::milliseconds(0) : period);
  }
}

bool Worker::step(size_t most) {
  std::vector<Message> messages;
  mailbox_.take(messages, std::chrono::steady_clock::time_point());
  for (Message& message : messages) stepping_.push_back(std::move(message));
  const bool any = !stepping_.empty();
  for (size_t i = 0; i < most && !stepping_.empty(); ++i) {
    const Message message = std::move(stepping_.front());
    stepping_.pop_front();
    message();
  }
  return any;
}

void Worker::stop() {
  mailbox_.close();
  if (thread_.joinable()) thread_.join();
}

}  // namespace clickmill::cluster
