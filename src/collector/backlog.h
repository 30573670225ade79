#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "base/strong.h"

namespace clickmill::collector {

/// The spooled clicks of one partition that are not in memory: where they stand
/// in the journal, oldest first. A run is all clicks that the partition has in
/// one group, so reading the group gives it back exactly.
///
/// After hours without a leader there are millions of runs: the long middle is
/// packed, about 5 bytes a run.
/// Thread: none of its own (the spool's lock).
class Backlog {
 public:
  struct Run {
    JournalPos position;
    ArrivalMs oldest;  ///< lowest received_ms in it
    uint32_t clicks = 0;
    bool again = false;   ///< may have been sent before
    bool copied = false;  ///< they stand in a record that was copied forward
    friend bool operator==(const Run&, const Run&) = default;
  };

  bool empty() const { return head_.empty() && tail_.empty(); }
  const Run& front() const { return head_.empty() ? tail_.front() : head_.front(); }
  /// Lowest received_ms of all runs; not for an empty one. Journal order is not
  /// arrival order: a bulk click may wait while users' go ahead of it.
  ArrivalMs oldest() const;
  /// Whether the newest group, at `position`, has such a run.
  bool has_newest(JournalPos position, bool copied) const {
    return newest(position, copied) < tail_.size();
  }
  /// Visits the runs, oldest first, until `visit` answers false.
  template <typename Visit>
  void for_each(const Visit& visit) const {
    for (const Run& run : head_) {
      if (!visit(run)) return;
    }
    for (const Packed& packed : middle_) {
      for (const Run& run : unpack(packed)) {
        if (!visit(run)) return;
      }
    }
    for (const Run& run : tail_) {
      if (!visit(run)) return;
    }
  }

  /// Clicks in the group at `position`, which is not before the last run's.
  void add(const Run& more);
  void pop_front();
  uint64_t memory_bytes() const;

 private:
  struct Packed {
    std::string bytes;
    ArrivalMs oldest;
  };
  size_t newest(JournalPos position, bool copied) const;
  void pack_tail();
  static std::vector<Run> unpack(const Packed& packed);

  // In this order; head_ is not empty while middle_ isn't. The newest group's runs,
  // which may still grow, are in tail_.
  std::deque<Run> head_;
  std::deque<Packed> middle_;
  std::deque<Run> tail_;
};

}  // namespace clickmill::collector
