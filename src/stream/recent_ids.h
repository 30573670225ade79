#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/checksum.h"

namespace clickmill::stream {

/// The exact ids filed since a checkpoint, in the order of filing, each under
/// its log hour; hours never decrease.
///
/// A flat array of ids and, beside it, an open-addressing index of 4 bytes per
/// slot into the array. insert() looks at no other id, so it costs one cache
/// miss, hidden by prefetch(); look-ups, which are rare, go through all that
/// share the slot.
/// Thread: worker.
class RecentIds {
 public:
  /// Consecutive ids of one hour.
  struct Run {
    int64_t hour;
    std::span<const Hash128> ids;
  };

  void insert(const Hash128& id, int64_t hour);
  /// The newest hour under which the id stands here.
  std::optional<int64_t> newest_hour(const Hash128& id) const;
  void prefetch(const Hash128& id) const {
    if (!slots_.empty()) __builtin_prefetch(&slots_[id.high & (slots_.size() - 1)], 1);
  }
  /// Oldest hour first.
  std::vector<Run> runs() const;
  size_t size() const { return ids_.size(); }
  bool empty() const { return ids_.empty(); }
  /// Forgets all ids and gives back what memory the next interval will hardly need.
  void clear();
  uint64_t memory_bytes() const;

 private:
  struct Start {
    int64_t hour;
    size_t index;
  };
  void place(size_t index);
  void grow();
  int64_t hour_at(size_t index) const;

  std::vector<Hash128> ids_;
  std::vector<Start> starts_;
  std::vector<uint32_t> slots_;  // index + 1; 0 is free; a power of two of them, at most half used
};

}  // namespace clickmill::stream
