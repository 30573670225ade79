#pragma once

#include <cstdint>
#include <set>

#include "base/result.h"
#include "base/strong.h"
#include "state/store.h"

namespace clickmill::dedup {

/// Upkeep of the id spaces, which the partitions of a node share: an hour that
/// is over is settled, one that no partition can need any more is dropped, so
/// that there are never more than the hours kept and a few.
///
/// Borrows the store. Thread: background (one call at a time).
class IdSpaces {
 public:
  explicit IdSpaces(state::Store& store) : store_(store) {}

  /// Drops the hours before `oldest_durable_hour`, the least of what the
  /// partitions say: one that has not said so yet keeps everything. A space that
  /// could not be dropped or settled is tried again by the next call.
  Status maintain(LogHour oldest_durable_hour);

 private:
  state::Store& store_;
  std::set<LogHour> settled_;
};

}  // namespace clickmill::dedup
