#include "cluster/worker.h"

#include <pthread.h>

#include <algorithm>

#include "base/wakes.h"

namespace clickmill::cluster {
namespace {

constexpr auto kAgain = std::chrono::milliseconds(1);
/// Who is told something is not kept waiting by more messages than these.
constexpr size_t kMessagesBetweenWakes = 16;

}  // namespace

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
    const auto now = Steady::now();
    turn(messages, now);
    if (now < next_idle) continue;
    const bool again = idle();
    next_idle = Steady::now() + (again ? std::chrono::milliseconds(0) : period);
  }
}

void Worker::turn(std::vector<Message>& messages, Steady::time_point now) {
  for (size_t done = 0; done < messages.size();) {
    const LaterWakes then;
    const size_t end = std::min(done + kMessagesBetweenWakes, messages.size());
    for (; done < end; ++done) messages[done]();
  }
  const LaterWakes then;
  // Destroyed here, on the owning thread, not when the next take() clears them.
  messages.clear();
  if (now >= soon_at_) do_soon();
}

bool Worker::step(size_t most) {
  std::vector<Message> messages;
  // Not even a wait for a moment that has passed: it would be a call to the kernel each time.
  if (mailbox_.size() > 0) mailbox_.take(messages, Steady::time_point());
  for (Message& message : messages) stepping_.push_back(std::move(message));
  const bool any = !stepping_.empty() || soon_at_ != Steady::time_point::max();
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
  post([this] { soon_at_ = Steady::time_point::min(); });
}

void Worker::soon_again() { soon_at_ = std::min(soon_at_, Steady::now() + kAgain); }

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
