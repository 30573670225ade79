#include "state/slots.h"

#include <catch2/catch.hpp>
#include <string>

#include "base/bytes.h"
#include "state/memory_store.h"

namespace clickmill::state {
namespace {

std::string key_in(Slot slot, const std::string& rest) {
  std::string key;
  append_key_u32(key, slot.value());
  return key + rest;
}

TEST_CASE("slots: a rebuild stands beside what was until it takes its place", "[state]") {
  MemoryStore store;
  const PartitionId partition(7);
  const auto there = [&](Slot slot) {
    const auto value = store.get(kRowsSpace, key_in(slot, "row"));
    REQUIRE(value);
    return value->has_value();
  };
  const auto write = [&](Slot slot) {
    Batch batch;
    batch.put(kRowsSpace, key_in(slot, "row"), "x");
    batch.put(ids_space(LogHour(1000)), key_in(slot, "id"), "x");
    REQUIRE(store.commit(batch, true));
  };
  const Slot first = read_standing(partition, store)->current();
  CHECK(first == Slot(partition));
  write(first);
  write(Slot(PartitionId(8)));

  const Slot given_up = begin_slot(partition, store)->current();
  write(given_up);
  const Slot second = begin_slot(partition, store)->current();
  CHECK(second.partition() == partition);
  CHECK(first < given_up);
  CHECK(given_up < second);
  CHECK_FALSE(there(given_up));
  CHECK(there(first));
  write(second);
  CHECK(read_standing(partition, store)->live == first);
  CHECK(read_standing(partition, store)->building == second);

  REQUIRE(take_slot(partition, store));
  const auto standing = read_standing(partition, store);
  REQUIRE(standing);
  CHECK(standing->live == second);
  CHECK_FALSE(standing->building);
  CHECK_FALSE(there(first));
  CHECK(there(second));
  CHECK(there(Slot(PartitionId(8))));
  CHECK_FALSE(store.get(ids_space(LogHour(1000)), key_in(first, "id"))->has_value());

  REQUIRE(give_up_slot(partition, "the log is cut", store));
  CHECK(read_standing(partition, store)->lost == "the log is cut");
  CHECK(read_standing(PartitionId(8), store)->lost.empty());
}

}  // namespace
}  // namespace clickmill::state
