// Value in the slots space under the partition (4 bytes big-endian), little-endian:
//   u8 version 1 | u32 live | u32 building, equal to live: none | bytes lost |
//   u64 XXH3-64 of everything before
// A partition without one stands in the slot of its own number.
#include "state/slots.h"

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/checksum.h"

namespace clickmill::state {
namespace {

const Space kSlotsSpace{"slots"};
constexpr uint8_t kVersion = 1;

std::string key_of(uint32_t number) {
  std::string key;
  append_key_u32(key, number);
  return key;
}

void put(PartitionId partition, const Standing& standing, Batch& batch) {
  std::string out;
  ByteWriter writer(out);
  writer.u8(kVersion);
  writer.u32(standing.live.value());
  writer.u32(standing.current().value());
  writer.bytes(standing.lost);
  append_checksum(out);
  batch.put(kSlotsSpace, key_of(partition.value()), std::move(out));
}

void remove(Slot slot, const Store& store, Batch& batch) {
  for (const Space& space : store.spaces()) {
    if (space == kSlotsSpace) continue;
    batch.remove_range(space, key_of(slot.value()), key_of(slot.value() + 1));
  }
}

Error damaged(PartitionId partition) {
  return Error(Errc::corrupt,
               fmt::format("state store: the slot of partition {} is damaged", partition.value()));
}

}  // namespace

Result<Standing> read_standing(PartitionId partition, Store& store) {
  Standing standing{partition, std::nullopt, {}};
  const auto value = TRY(store.get(kSlotsSpace, key_of(partition.value())));
  if (!value) return standing;
  const auto body = before_checksum(*value);
  if (!body) return damaged(partition);
  ByteCursor cursor(*body);
  if (cursor.u8() != kVersion) return damaged(partition);
  standing.live = Slot::of_number(cursor.u32());
  const Slot building = Slot::of_number(cursor.u32());
  standing.lost = cursor.bytes();
  if (!cursor.done() || standing.live.partition() != partition) return damaged(partition);
  if (building != standing.live) standing.building = building;
  return standing;
}

Result<Standing> begin_slot(PartitionId partition, Store& store) {
  Standing standing = TRY(read_standing(partition, store));
  Batch batch;
  const Slot fresh = standing.current().next();
  if (standing.building) remove(*standing.building, store, batch);
  standing.building = fresh;
  put(partition, standing, batch);
  TRY(store.commit(batch, true));
  return standing;
}

Result<Standing> take_slot(PartitionId partition, Store& store) {
  Standing standing = TRY(read_standing(partition, store));
  if (!standing.building) return standing;
  Batch batch;
  remove(standing.live, store, batch);
  standing.live = *standing.building;
  standing.building.reset();
  put(partition, standing, batch);
  TRY(store.commit(batch, true));
  return standing;
}

Status give_up_slot(PartitionId partition, const std::string& why, Store& store) {
  Standing standing = TRY(read_standing(partition, store));
  standing.lost = why;
  Batch batch;
  put(partition, standing, batch);
  return store.commit(batch, true);
}

}  // namespace clickmill::state
