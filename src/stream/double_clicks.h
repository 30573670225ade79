#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <set>
#include <utility>

#include "base/result.h"
#include "base/strong.h"
#include "state/slot.h"
#include "state/store.h"

namespace clickmill::stream {

/// Who clicked which ad of one partition lately, so that the second click of a
/// double click is known. A visit is any click that the log holds, copies too: it
/// says that the visitor clicked. Two visits of one visitor to one ad are close when
/// their arrivals lie no further apart than the window, whichever came first.
///
/// Remembered are the visits of so much log time before the present one as the window
/// and kSlackMs, and of these the last kMost in the order of the log: clicks that wait
/// in a spool together through an outage stand together in the log.
/// Deterministic: a function of the visits and windows seen. Durable in the state
/// store's meta space as of the last checkpoint; format: top of double_clicks.cpp.
/// Cost: logarithmic in what is remembered, also for one that clicks all the time.
/// Thread: worker.
class DoubleClicks {
 public:
  static constexpr int64_t kSlackMs = 30'000;
  static constexpr size_t kMost = 1 << 16;

  explicit DoubleClicks(state::Slot slot) : slot_(slot) {}
  Status load(state::Store& store);

  /// 0 turns it off. Another one than before forgets all, so that what is remembered
  /// follows from one window.
  void set_window(int64_t window_ms);
  bool on() const { return window_ms_ > 0; }
  /// Remembers a visit. True: one that is remembered is close to it. `who` stands for
  /// visitor and ad; append_ms never decreases.
  bool visit(uint64_t who, ArrivalMs received, LogMs append_ms);

  /// Adds what is remembered, if there is or was anything.
  void checkpoint(state::Batch& batch);
  /// Adds that nothing is remembered.
  static void forget(state::Slot slot, state::Batch& batch);
  size_t remembered() const { return visits_.size(); }

 private:
  struct Visit {
    LogMs append_ms;
    ArrivalMs received;
    uint64_t who;
  };
  void remember(const Visit& visit);
  void forget_oldest();

  state::Slot slot_;
  int64_t window_ms_ = 0;
  std::deque<Visit> visits_;                              // in the order of the log
  std::multiset<std::pair<uint64_t, int64_t>> arrivals_;  // (who, received) of the same
  bool stored_ = false;                                   // the store holds some
};

}  // namespace clickmill::stream
