#pragma once

#include <optional>
#include <string>

#include "state/slot.h"
#include "state/store.h"

namespace clickmill::state {

/// What comes from another node into a fresh slot.
struct Arrival {
  bool whole = false;  ///< all of it is there, and durable
  Offset upto;         ///< then: the state at that offset
};
/// Where a partition's state stands in the store. Format: top of slots.cpp.
struct Standing {
  Slot live;                       ///< what was whole last
  std::optional<Slot> building;    ///< what is being filled beside it
  std::optional<Arrival> arrival;  ///< by another node; nothing: by a rebuild from the log
  std::string lost;                ///< why neither can be used, nor be rebuilt; empty: they can
  Slot current() const { return building.value_or(live); }
};
/// A partition of which nothing is written stands in its first slot.
Result<Standing> read_standing(PartitionId partition, View& store);
/// Begins a fresh slot; one that was begun earlier is removed. Durable on return.
Result<Standing> begin_slot(PartitionId partition, Store& store);
/// The same of what comes from another node; what is removed must be no rebuild.
Result<Standing> begin_arrival(PartitionId partition, Store& store);
/// All of it has come: adds that to `batch`, whose commit must be synced.
void put_arrived(PartitionId partition, Standing standing, Offset upto, Batch& batch);
/// What was built is whole: it is in force, and the old one removed, in one batch.
Result<Standing> take_slot(PartitionId partition, Store& store);
/// Removes what has been begun and is of no use.
Status abandon_slot(PartitionId partition, Store& store);
/// Remembers that the partition is lost. What its slots hold stays as it is.
Status give_up_slot(PartitionId partition, const std::string& why, Store& store);
/// All keys of a slot begin with it; the next slot's key is their end.
std::string key_of(Slot slot);
/// Whether keys of the space belong to slots: all but the slots' own do.
bool is_of_slots(const Space& space);

}  // namespace clickmill::state
