#pragma once

#include <array>
#include <memory>
#include <vector>

#include "base/strong.h"
#include "store/memory_rows.h"
#include "store/part.h"

namespace clickmill::store {

/// The parts of one partition at one instant, by table. Immutable; shared.
using PartList = std::vector<std::shared_ptr<const Part>>;

/// What a query reads of one partition: rows not yet in a part (copies of those that are
/// still written to and match the request, minute buckets only, and all that are frozen), the
/// parts, and how far they reach. Taken in one step on the partition's worker,
/// so that no row is seen twice or missed.
/// Hour and day values = hour/day parts plus those minute rows rolled up.
struct Version {
  std::vector<Row> head;
  MemoryRowsList frozen;
  std::shared_ptr<const std::array<PartList, kTables>> parts;
  LogMs log_time;       ///< append_ms of the last applied entry
  ArrivalMs low_water;  ///< min over nodes not silent: every click answered before it is applied
  int64_t grace_ms = 30'000;
  Offset applied;      ///< what it holds of the partition's log
  bool stale = false;  ///< nobody is known to lead the partition: it may be behind the others
};

}  // namespace clickmill::store
