#pragma once

#include <optional>
#include <string>

#include "state/slot.h"
#include "state/store.h"

namespace clickmill::state {

/// Where a partition's state stands in the store. Format: top of slots.cpp.
struct Standing {
  Slot live;                     ///< what was whole last
  std::optional<Slot> building;  ///< what a rebuild has begun to fill
  std::string lost;              ///< why neither can be used, nor be rebuilt; empty: they can
  Slot current() const { return building.value_or(live); }
};
/// A partition of which nothing is written stands in its first slot.
Result<Standing> read_standing(PartitionId partition, Store& store);
/// Begins a fresh slot; one that an earlier rebuild had begun is removed. Durable on return.
Result<Standing> begin_slot(PartitionId partition, Store& store);
/// What was built is whole: it is in force, and the old one removed, in one batch.
Result<Standing> take_slot(PartitionId partition, Store& store);
/// Remembers that the partition is lost. What its slots hold stays as it is.
Status give_up_slot(PartitionId partition, const std::string& why, Store& store);

}  // namespace clickmill::state
