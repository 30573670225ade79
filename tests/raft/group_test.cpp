// Goal: Raft's safety properties hold through lost, doubled and late messages, cut links,
// kills, late disks, wiped disks and changes of members; and a group whose surroundings are
// careless is caught. Method: see group.h. A failure names its seed.

#include "raft/group.h"

#include <catch2/catch.hpp>
#include <optional>
#include <string>

namespace clickmill::raft {
namespace {

constexpr int kSteps = 6'000;

/// The seed that shows a violation, if one of so many does.
std::optional<uint64_t> caught(uint64_t seeds, Careless careless) {
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    Group group(seed, {.careless = careless});
    for (int i = 0; i < kSteps && !group.violation(); ++i) group.step();
    if (!group.violation()) group.settle();
    if (group.violation()) return seed;
  }
  return std::nullopt;
}

}  // namespace

TEST_CASE("raft: a group in trouble keeps every promise, and agrees when the trouble is over",
          "[raft]") {
  uint64_t committed = 0, leaders = 0, installs = 0, truncations = 0, changes = 0, reads = 0;
  for (uint64_t seed = 1; seed <= 500; ++seed) {
    Group group(seed, {.members = seed % 4 == 0 ? size_t{5} : size_t{3}});
    for (int i = 0; i < kSteps && !group.violation(); ++i) group.step();
    CAPTURE(seed);
    REQUIRE(group.violation().value_or("") == "");
    const bool settled = group.settle();
    REQUIRE(group.violation().value_or("") == "");
    REQUIRE(settled);
    committed += group.committed_entries();
    leaders += group.leaders();
    installs += group.installs();
    truncations += group.truncations();
    changes += group.changes_done();
    reads += group.reads_done();
  }
  // What never happened was not tested.
  CHECK(committed > 20'000);
  CHECK(leaders > 800);
  CHECK(installs > 100);
  CHECK(truncations > 100);
  CHECK(changes > 300);
  CHECK(reads > 1'000);
}

TEST_CASE("raft: a seed repeats a run to the step", "[raft]") {
  const auto trace = [](uint64_t seed) {
    Group group(seed, {});
    for (int i = 0; i < kSteps; ++i) group.step();
    return std::tuple(group.committed_entries(), group.leaders(), group.truncations(),
                      group.reads_done());
  };
  CHECK(trace(7) == trace(7));
}

TEST_CASE("raft: promises that leave before their sync are caught", "[raft]") {
  CHECK(caught(400, {.promises_before_sync = true}));
}

TEST_CASE("raft: acknowledgements that leave before their sync are caught", "[raft]") {
  CHECK(caught(400, {.entries_before_sync = true}));
}

TEST_CASE("raft: a forgotten term or vote is caught", "[raft]") {
  CHECK(caught(400, {.forgets_hard_state = true}));
}

TEST_CASE("raft: a wiped disk that votes as who it was is caught", "[raft]") {
  CHECK(caught(400, {.keeps_storage_id = true}));
}

}  // namespace clickmill::raft
