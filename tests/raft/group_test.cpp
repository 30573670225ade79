// Goal: Raft's safety properties hold through lost, doubled and late messages, cut links,
// kills, late disks, wiped disks and changes of members; and a group whose surroundings are
// careless is caught. Method: see group.h. A failure names its seed.

#include "raft/group.h"

#include <catch2/catch.hpp>
#include <string>

namespace clickmill::raft {
namespace {

constexpr int kSteps = 6'000;

/// What was seen that must never be, or nothing.
std::string problem_of(uint64_t seed, const Group::Options& options) {
  Group group(seed, options);
  for (int i = 0; i < kSteps && !group.violation(); ++i) group.step();
  const bool settled = group.violation() || group.settle();
  return group.violation().value_or(settled ? "" : "it does not settle");
}

struct Variant {
  const char* name;
  Group::Options options;
  const char* seen;         ///< by the first check that notices
  uint64_t first_seed = 1;  ///< what shows in one run of thousands is not looked for each time
};

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

TEST_CASE("raft: a member with a slow clock follows all the same", "[raft]") {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    CAPTURE(seed);
    REQUIRE(problem_of(seed, {.changes = false, .slow_clock = true}) == "");
  }
}

TEST_CASE("raft: a group alone that grows keeps every promise", "[raft]") {
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    CAPTURE(seed);
    REQUIRE(problem_of(seed, {.members = 1}) == "");
  }
}

TEST_CASE("raft: what is careless is caught", "[raft]") {
  const char* const two_leaders = "two leaders in term";
  const char* const lacks = "a disk lacks what it acknowledged";
  const char* const no_quorum = "no quorum has it on disk";
  const Variant variants[] = {
      {"1: a vote is answered before its sync",
       {.slow_disks = true, .careless = {.votes_before_sync = true}},
       two_leaders},
      {"2: the own vote counts before its sync",
       {.members = 1, .careless = {.own_vote_before_sync = true}},
       two_leaders},
      {"3: acknowledged before the sync", {.careless = {.entries_before_sync = true}}, no_quorum},
      {"4: an empty append acknowledges all", {.careless = {.acks_all_to_empty = true}}, lacks},
      {"5: acknowledged past what is verified",
       {.careless = {.acks_past_verified = true}},
       no_quorum},
      {"6: an old term's entry is committed by count",
       {.careless = {.commits_by_count = true}},
       "a read misses what was committed"},
      {"7: a refusal is taken for an acknowledgement",
       {.careless = {.match_from_refusal = true}},
       lacks},
      {"8: committed past what is verified",
       {.careless = {.commits_past_verified = true}},
       no_quorum},
      {"9: a stale append cuts without a conflict",
       {.careless = {.cuts_behind_append = true}},
       lacks},
      {"10: news of the disk without its life",
       {.careless = {.news_without_life = true}},
       no_quorum,
       7'870},
      {"11: alone, a start is in the term of the last one",
       {.members = 1, .careless = {.forgets_hard_state = true}},
       two_leaders},
      {"12, 13: one entry changes the members",
       {.careless = {.changes_in_one_entry = true}},
       two_leaders},
      {"14: one change over another",
       {.careless = {.changes_over_changes = true}},
       "lacks committed offset"},
      {"15: answers to a pre-vote count", {.careless = {.pre_votes_count = true}}, two_leaders},
      {"16: a wiped disk keeps its id", {.careless = {.keeps_storage_id = true}}, lacks},
      {"17: it is cleared when its entries are back",
       {.careless = {.cleared_by_entries = true}},
       lacks},
      {"30: a state older than what is committed",
       {.careless = {.takes_older_state = true}},
       lacks},
      {"37: refused for the clock though committed",
       {.changes = false, .slow_clock = true, .careless = {.refuses_committed = true}},
       "it does not settle"},
      {"a forgotten term or vote", {.careless = {.forgets_hard_state = true}}, two_leaders},
  };
  // The number in front is that of the list of broken variants (simulation/careless_test.cpp).
  for (const Variant& variant : variants) {
    std::string seen;
    uint64_t seed = variant.first_seed;
    for (; seed < variant.first_seed + 1'000; ++seed) {
      seen = problem_of(seed, variant.options);
      if (!seen.empty()) break;
    }
    CAPTURE(variant.name, seed, seen);
    CHECK(seen.find(variant.seen) != std::string::npos);
  }
}

}  // namespace clickmill::raft
