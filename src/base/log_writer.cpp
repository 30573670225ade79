#include "base/log_writer.h"

#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string_view>
#include <thread>
#include <utility>

namespace clickmill {
namespace {

constexpr size_t kWaitingBytes = 1 << 20;
constexpr int kPollMs = 100;
constexpr auto kLastWords = std::chrono::milliseconds(500);

/// Never destroyed: the thread may be stuck in a write when the process ends.
struct Queue {
  // Guards all below. Held for a copy of a line, never for a write.
  std::mutex mutex;
  std::condition_variable changed;
  std::string waiting;
  uint64_t dropped = 0;
  bool running = false;
  bool stopping = false;
  bool ended = false;
};

Queue& queue() {
  static Queue* const the_one = new Queue;
  return *the_one;
}

bool is_stopping() {
  const std::lock_guard lock(queue().mutex);
  return queue().stopping;
}

/// Waits until stderr takes more; false when the process ends meanwhile.
bool wait_for_reader() {
  while (true) {
    pollfd error{STDERR_FILENO, POLLOUT, 0};
    if (::poll(&error, 1, kPollMs) != 0) return true;
    if (is_stopping()) return false;
  }
}

/// In pieces that a pipe takes whole or not at all.
void write_all(std::string_view text) {
  while (!text.empty() && wait_for_reader()) {
    const ssize_t done =
        ::write(STDERR_FILENO, text.data(), std::min<size_t>(text.size(), PIPE_BUF));
    // Whoever closed it, or filled its disk, misses this piece.
    text.remove_prefix(done > 0 ? static_cast<size_t>(done)
                                : std::min<size_t>(text.size(), PIPE_BUF));
  }
}

/// What to write next; empty when it is time to end.
std::string next_text() {
  Queue& q = queue();
  std::unique_lock lock(q.mutex);
  q.changed.wait(lock, [&q] { return q.stopping || !q.waiting.empty(); });
  return std::exchange(q.waiting, {});
}

void run() {
  pthread_setname_np(pthread_self(), "log");
  for (std::string text = next_text(); !text.empty(); text = next_text()) write_all(text);
  const std::lock_guard lock(queue().mutex);
  queue().ended = true;
  queue().changed.notify_all();
}

}  // namespace

LogWriter::LogWriter() {
  {
    const std::lock_guard lock(queue().mutex);
    queue().running = true;
    queue().stopping = queue().ended = false;
  }
  std::thread(run).detach();
}

LogWriter::~LogWriter() {
  std::unique_lock lock(queue().mutex);
  queue().stopping = true;
  queue().running = false;
  queue().changed.notify_all();
  queue().changed.wait_for(lock, kLastWords, [] { return queue().ended; });
}

uint64_t LogWriter::dropped() {
  const std::lock_guard lock(queue().mutex);
  return queue().dropped;
}

bool write_log(const std::string& line) {
  {
    const std::lock_guard lock(queue().mutex);
    if (queue().running) {
      if (queue().waiting.size() + line.size() > kWaitingBytes) {
        ++queue().dropped;
        return false;
      }
      queue().waiting += line;
      queue().changed.notify_one();
      return true;
    }
  }
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
  return true;
}

}  // namespace clickmill
