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

TEST_CASE("slots: what comes from another node is told from a rebuild, whole or not", "[state]") {
  MemoryStore store;
  const PartitionId partition(7);
  const auto begun = begin_arrival(partition, store);
  REQUIRE(begun);
  auto standing = read_standing(partition, store);
  REQUIRE(standing);
  REQUIRE(standing->arrival);
  CHECK_FALSE(standing->arrival->whole);
  CHECK(standing->building == begun->building);
  CHECK(standing->live == Slot(partition));

  Batch batch;
  batch.put(kRowsSpace, key_in(*begun->building, "row"), "x");
  put_arrived(partition, *standing, Offset(12'345), batch);
  REQUIRE(store.commit(batch, true));
  standing = read_standing(partition, store);
  REQUIRE(standing->arrival);
  CHECK(standing->arrival->whole);
  CHECK(standing->arrival->upto == Offset(12'345));

  SECTION("it is taken, and a partition that was lost is none any more") {
    REQUIRE(give_up_slot(partition, "damage", store));
    REQUIRE(take_slot(partition, store));
    standing = read_standing(partition, store);
    CHECK(standing->live == *begun->building);
    CHECK_FALSE(standing->building);
    CHECK_FALSE(standing->arrival);
    CHECK(standing->lost.empty());
  }
  SECTION("it is given up") {
    REQUIRE(abandon_slot(partition, store));
    standing = read_standing(partition, store);
    CHECK(standing->live == Slot(partition));
    CHECK_FALSE(standing->building);
    CHECK_FALSE(standing->arrival);
    CHECK_FALSE(store.get(kRowsSpace, key_in(*begun->building, "row"))->has_value());
  }
  SECTION("a rebuild takes its place") {
    REQUIRE(begin_slot(partition, store));
    standing = read_standing(partition, store);
    CHECK(standing->building);
    CHECK_FALSE(standing->arrival);
  }
}

TEST_CASE("state store: what is frozen stays as it was", "[state]") {
  MemoryStore store;
  Batch batch;
  batch.put(kRowsSpace, "a", "1");
  batch.put(ids_space(LogHour(1000)), "b", "2");
  REQUIRE(store.commit(batch, true));
  const auto frozen = store.freeze();
  Batch later;
  later.put(kRowsSpace, "a", "3");
  later.put(kRowsSpace, "c", "4");
  REQUIRE(store.commit(later, true));
  REQUIRE(store.drop_space(ids_space(LogHour(1000))));
  CHECK(frozen->get(kRowsSpace, "a")->value() == "1");
  CHECK_FALSE(frozen->get(kRowsSpace, "c")->has_value());
  CHECK(frozen->get(ids_space(LogHour(1000)), "b")->value() == "2");
  CHECK(frozen->spaces().size() == 2);
  CHECK(frozen->bytes_about(kRowsSpace, "", "z") == 2);
}

}  // namespace
}  // namespace clickmill::state
