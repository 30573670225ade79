#pragma once

#include <memory>
#include <vector>

namespace clickmill {

/// Somebody who sleeps until it is woken.
class Sleeper {
 public:
  virtual ~Sleeper() = default;
  /// Thread: any.
  virtual void wake() = 0;
};

/// While it lives, this thread wakes nobody at once: whoever is told something is woken once,
/// at the end. For who tells many things in a row: a wake-up costs more than what is told, and
/// who wakes after the first of them sleeps again before the second.
/// One inside another does nothing. Thread: its own.
class LaterWakes {
 public:
  LaterWakes() : counts_(here() == nullptr) {
    if (counts_) here() = this;
  }
  ~LaterWakes() {
    if (!counts_) return;
    here() = nullptr;
    for (const auto& sleeper : sleepers_) sleeper->wake();
  }
  LaterWakes(const LaterWakes&) = delete;
  LaterWakes& operator=(const LaterWakes&) = delete;

  /// Wakes it when this thread's has ended; at once, when there is none.
  static void wake(const std::shared_ptr<Sleeper>& sleeper) {
    if (here() == nullptr) return sleeper->wake();
    auto& sleepers = here()->sleepers_;
    for (const auto& known : sleepers) {
      if (known == sleeper) return;
    }
    sleepers.push_back(sleeper);
  }

 private:
  static LaterWakes*& here() {
    thread_local LaterWakes* of_this_thread = nullptr;
    return of_this_thread;
  }
  const bool counts_;
  std::vector<std::shared_ptr<Sleeper>> sleepers_;
};

}  // namespace clickmill
