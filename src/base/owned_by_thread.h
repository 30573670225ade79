#pragma once

#include <thread>

#include "base/assert.h"

namespace clickmill {

/// Remembers the first thread that calls check() and, in debug builds, aborts
/// on any other. release() lets another thread take over (start-up, tests).
class OwnedByThread {
 public:
#ifdef NDEBUG
  void check() const {}
  void release() {}
#else
  void check() const {
    if (owner_ == std::thread::id()) owner_ = std::this_thread::get_id();
    CM_ASSERT(owner_ == std::this_thread::get_id());
  }
  void release() { owner_ = std::thread::id(); }

 private:
  mutable std::thread::id owner_;
#endif
};

}  // namespace clickmill
