#include "http/event_loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <system_error>
#include <utility>

namespace clickmill::http {
namespace {

constexpr size_t kReadyAtOnce = 256;

}  // namespace

EventLoop::EventLoop()
    : epoll_(::epoll_create1(EPOLL_CLOEXEC)), waker_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  ready_.resize(kReadyAtOnce);
  epoll_event event{};
  // Edge-triggered, so that it need not be read: each write is a new edge.
  event.events = EPOLLIN | EPOLLET;
  if (epoll_ >= 0 && waker_ >= 0 && ::epoll_ctl(epoll_, EPOLL_CTL_ADD, waker_, &event) == 0) return;
  const std::error_code why(errno, std::generic_category());
  if (epoll_ >= 0) ::close(epoll_);
  if (waker_ >= 0) ::close(waker_);
  throw std::system_error(why, "an event loop can't be made");
}

EventLoop::~EventLoop() {
  ::close(epoll_);
  ::close(waker_);
}

bool EventLoop::watch(int descriptor, uint32_t events, Source& source) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &source;
  return ::epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event) == 0;
}

void EventLoop::unwatch(int descriptor, const Source& source) {
  ::epoll_ctl(epoll_, EPOLL_CTL_DEL, descriptor, nullptr);
  for (size_t i = next_ready_; i < ready_count_; ++i) {
    if (ready_[i].data.ptr == &source) ready_[i].data.ptr = nullptr;
  }
}

void EventLoop::post(Task task) {
  {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(task));
  }
  wake();
}

void EventLoop::wake() {
  woken_ = true;
  if (!sleeps_.exchange(false)) return;
  const uint64_t one = 1;
  // It fails only when the counter is full, and then the loop is awake.
  [[maybe_unused]] const ssize_t written = ::write(waker_, &one, sizeof one);
}

void EventLoop::after(std::chrono::milliseconds delay, Task task) {
  timers_.emplace(Steady::now() + delay, std::move(task));
}

/// What was posted before something became ready is run before it.
void EventLoop::run() {
  while (!stopped_) {
    if (woken_.exchange(false)) run_posted();
    run_timers();
    while (!stopped_ && next_ready_ < ready_count_) {
      const epoll_event& event = ready_[next_ready_++];
      if (event.data.ptr != nullptr) static_cast<Source*>(event.data.ptr)->on_events(event.events);
    }
    if (!stopped_) wait();
  }
}

void EventLoop::forget() {
  std::vector<Task> forgotten = std::move(running_);
  timers_.clear();
  const std::lock_guard lock(mutex_);
  std::move(posted_.begin(), posted_.end(), std::back_inserter(forgotten));
  posted_.clear();
}

void EventLoop::wait() {
  sleeps_ = true;
  const int timeout = woken_ ? 0 : timeout_ms();
  next_ready_ = ready_count_ = 0;
  const int count = ::epoll_wait(epoll_, ready_.data(), static_cast<int>(ready_.size()), timeout);
  sleeps_ = false;
  ready_count_ = static_cast<size_t>(std::max(count, 0));
}

/// Rounded up: a timer that is not due yet would have the loop turn without a rest.
int EventLoop::timeout_ms() const {
  if (timers_.empty()) return -1;
  const auto left = timers_.begin()->first - Steady::now();
  if (left <= Steady::duration::zero()) return 0;
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
  return static_cast<int>(std::min<int64_t>(ms, 60'000));
}

void EventLoop::run_timers() {
  if (timers_.empty()) return;
  const auto now = Steady::now();
  while (!timers_.empty() && timers_.begin()->first <= now) {
    const Task task = std::move(timers_.extract(timers_.begin()).mapped());
    task();
  }
}

void EventLoop::run_posted() {
  {
    const std::lock_guard lock(mutex_);
    std::move(posted_.begin(), posted_.end(), std::back_inserter(running_));
    posted_.clear();
  }
  std::vector<Task> tasks = std::exchange(running_, {});
  for (size_t i = 0; i < tasks.size(); ++i) {
    try {
      tasks[i]();
    } catch (...) {
      // Those behind it are not its fault.
      std::move(tasks.begin() + static_cast<std::ptrdiff_t>(i) + 1, tasks.end(),
                std::back_inserter(running_));
      woken_ = true;
      throw;
    }
  }
  if (on_wake_) on_wake_();
}

}  // namespace clickmill::http
