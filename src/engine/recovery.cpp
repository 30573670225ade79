#include "engine/recovery.h"

#include <pthread.h>

#include <chrono>
#include <utility>

#include "base/logging.h"
#include "engine/state_recovery.h"

namespace clickmill::engine {
namespace {

constexpr uint64_t kStateCacheBytes = 40 << 20;
constexpr auto kTryAgain = std::chrono::seconds(1);

}  // namespace

void Recovery::start() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "recovery");
    run();
  });
}

void Recovery::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stop_.notify_all();
  if (thread_.joinable()) thread_.join();
}

std::string Recovery::trouble() const {
  const std::lock_guard lock(mutex_);
  return trouble_;
}

void Recovery::set_trouble(std::string text) {
  const std::lock_guard lock(mutex_);
  if (text != trouble_ && !text.empty()) log_error("engine", text);
  trouble_ = std::move(text);
}

void Recovery::run() {
  if (outcome_.first && !outcome_.first(stopping_)) return;
  while (!stopping_) {
    auto opened = open_counts();
    if (stopping_) return;
    bool lost = false;
    if (opened) {
      opened = machine_.recover(stopping_);
      // The journal's: it will not be whole on the next try, and only a person may leave
      // answered clicks out.
      lost = !opened && is_damage(opened.error());
    }
    if (opened) {
      set_trouble({});
      return outcome_.recovered();
    }
    if (stopping_) return;
    if (lost) return outcome_.lost(std::move(opened).error());
    // The next try begins with what stands on disk, not with half of this one.
    machine_.close_partitions();
    set_trouble("counts: " + opened.error().text());
    if (beyond_repair_ || !wait_a_moment()) return;
  }
}

/// False when it is time to stop.
bool Recovery::wait_a_moment() {
  std::unique_lock lock(mutex_);
  stop_.wait_for(lock, kTryAgain, [this] { return stopping_.load(); });
  return !stopping_;
}

Status Recovery::open_counts() {
  auto opened = open_state();
  if (opened || !is_damage(opened.error())) return opened;
  machine_.close_partitions();
  if (auto aside = set_state_aside(dir_, files_, opened.error()); !aside) {
    beyond_repair_ = is_damage(aside.error());
    return aside;
  }
  return open_state();
}

Status Recovery::open_state() {
  TRY(files_.create_directories(dir_.state()));
  std::shared_ptr<state::Store> state = TRY(
      state::open_rocks_store(dir_.state(), kStateCacheBytes, {.reserve_bytes = reserve_bytes_}));
  return machine_.open_partitions(std::move(state));
}

}  // namespace clickmill::engine
