#include "cluster/worker.h"

#include <pthread.h>

#include <algorithm>

namespace clickmill::cluster {

void Worker::start(std::function<bool()> idle, std::chrono::milliseconds period) {
  thread_ = std::thread([this, idle = std::move(idle), period] {
    pthread_setname_np(pthread_self(), name_.c_str());
    run(idle, period);
  });
}

void Worker::run(const std::function<bool()>& idle, std::chrono::milliseconds period) {
  std::vector<Message> messages;
  auto next_idle = Steady::now();
  while (mailbox_.take(messages, std::min(next_idle, soon_at_))) {
    for (Message& message : messages) message();
    // Destroyed here, on the owning thread, not when the next take() clears them.
    messages.clear();
    const auto now = Steady::now();
    if (now >= soon_at_) do_soon();
    if (now < next_idle) continue;
    const bool again = idle();
    next_idle = Steady::now() + (again ? std::chrono::milliseconds(0) : period);
  }
}

bool Worker::step(size_t most) {
  std::vector<Message> messages;
  // Not even a wait for a moment that has passed: it would be a call to the kernel each time.
  if (mailbox_.size() > 0) mailbox_.take(messages, Steady::time_point());
  for (Message& message : messages) stepping_.push_back(std::move(message));
  const bool any = !stepping_.empty();
  for (size_t i = 0; i < most && !stepping_.empty(); ++i) {
    const Message message = std::move(stepping_.front());
    stepping_.pop_front();
    message();
  }
  if (soon_at_ != Steady::time_point::max()) do_soon();
  return any;
}

void Worker::soon() {
  if (soon_asked_.exchange(true)) return;
  post([this] { soon_at_ = Steady::now() + kSoon; });
}

/// Who asks from here on finds it begun, and is served by the next one.
void Worker::do_soon() {
  soon_at_ = Steady::time_point::max();
  soon_asked_.exchange(false);
  soon_();
}

void Worker::stop() {
  mailbox_.close();
  if (thread_.joinable()) thread_.join();
}

}  // namespace clickmill::cluster
