// Value in the slots space under the partition (4 bytes big-endian), little-endian:
//   u8 version 1 | u32 live | u32 building, equal to live: none | bytes lost |
//   u64 XXH3-64 of everything before
// Version 2, while a state comes from another node, has before the checksum:
//   u8 1: it is whole, else 0 | varint offset that it is of, when it is whole
// A partition without one stands in the slot of its own number.
#include "state/slots.h"

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/checksum.h"

namespace clickmill::state {
namespace {

const Space kSlotsSpace{"slots"};
constexpr uint8_t kVersion = 1;
constexpr uint8_t kVersionOfArrival = 2;

void put(PartitionId partition, const Standing& standing, Batch& batch) {
  std::string out;
  ByteWriter writer(out);
  writer.u8(standing.arrival ? kVersionOfArrival : kVersion);
  writer.u32(standing.live.value());
  writer.u32(standing.current().value());
  writer.bytes(standing.lost);
  if (standing.arrival) {
    writer.u8(standing.arrival->whole ? 1 : 0);
    writer.varint(standing.arrival->upto.value());
  }
  append_checksum(out);
  batch.put(kSlotsSpace, key_of(partition), std::move(out));
}

void remove(Slot slot, const Store& store, Batch& batch) {
  for (const Space& space : store.spaces()) {
    if (!is_of_slots(space)) continue;
    batch.remove_range(space, key_of(slot), key_of(Slot::of_number(slot.value() + 1)));
  }
}

Error damaged(PartitionId partition) {
  return Error(Errc::corrupt,
               fmt::format("state store: the slot of partition {} is damaged", partition.value()));
}

Result<Standing> begin(PartitionId partition, std::optional<Arrival> arrival, Store& store) {
  Standing standing = TRY(read_standing(partition, store));
  Batch batch;
  const Slot fresh = standing.current().next();
  if (standing.building) remove(*standing.building, store, batch);
  standing.building = fresh;
  standing.arrival = arrival;
  put(partition, standing, batch);
  TRY(store.commit(batch, true));
  return standing;
}

}  // namespace

std::string key_of(Slot slot) {
  std::string key;
  append_key_u32(key, slot.value());
  return key;
}

bool is_of_slots(const Space& space) { return space != kSlotsSpace; }

Result<Standing> read_standing(PartitionId partition, View& store) {
  Standing standing{partition, std::nullopt, std::nullopt, {}};
  const auto value = TRY(store.get(kSlotsSpace, key_of(partition)));
  if (!value) return standing;
  const auto body = before_checksum(*value);
  if (!body) return damaged(partition);
  ByteCursor cursor(*body);
  const uint8_t version = cursor.u8();
  if (version != kVersion && version != kVersionOfArrival) return damaged(partition);
  standing.live = Slot::of_number(cursor.u32());
  const Slot building = Slot::of_number(cursor.u32());
  standing.lost = cursor.bytes();
  if (version == kVersionOfArrival) {
    const bool whole = cursor.u8() != 0;
    standing.arrival = Arrival{whole, Offset(cursor.varint())};
  }
  if (!cursor.done() || standing.live.partition() != partition) return damaged(partition);
  if (building != standing.live) standing.building = building;
  return standing;
}

Result<Standing> begin_slot(PartitionId partition, Store& store) {
  return begin(partition, std::nullopt, store);
}

Result<Standing> begin_arrival(PartitionId partition, Store& store) {
  return begin(partition, Arrival{}, store);
}

void put_arrived(PartitionId partition, Standing standing, Offset upto, Batch& batch) {
  standing.arrival = Arrival{true, upto};
  put(partition, standing, batch);
}

Result<Standing> take_slot(PartitionId partition, Store& store) {
  Standing standing = TRY(read_standing(partition, store));
  if (!standing.building) return standing;
  Batch batch;
  remove(standing.live, store, batch);
  standing.live = *standing.building;
  standing.building.reset();
  standing.arrival.reset();
  standing.lost.clear();
  put(partition, standing, batch);
  TRY(store.commit(batch, true));
  return standing;
}

Status abandon_slot(PartitionId partition, Store& store) {
  Standing standing = TRY(read_standing(partition, store));
  if (!standing.building) return {};
  Batch batch;
  remove(*standing.building, store, batch);
  standing.building.reset();
  standing.arrival.reset();
  put(partition, standing, batch);
  return store.commit(batch, true);
}

Status give_up_slot(PartitionId partition, const std::string& why, Store& store) {
  Standing standing = TRY(read_standing(partition, store));
  standing.lost = why;
  Batch batch;
  put(partition, standing, batch);
  return store.commit(batch, true);
}

}  // namespace clickmill::state
