// Goal: the seeded lives of journal_life.h would notice a careless journal. Method: the
// sound journal runs on a disk that leaves out or changes what the careless one would;
// each flaw must contradict the model within some seeds, and no flaw in none of them.

#include <catch2/catch.hpp>

#include "log/broken_file_system.h"
#include "log/journal_life.h"

namespace clickmill::log {
namespace {

constexpr uint64_t kSeeds = 500;

std::string problem_of(uint64_t seed, Flaw flaw) {
  JournalLife life(seed);
  BrokenFileSystem broken(life.sim, flaw);
  life.files = &broken;
  if (flaw == Flaw::frees_a_file_too_early) life.free_too_much = 1;
  live(life);
  life.journal.reset();
  return life.problem;
}

TEST_CASE("journal: every careless variant is caught within 500 seeds", "[log]") {
  const auto flaw = GENERATE(
      Flaw::answers_before_sync, Flaw::new_name_not_synced, Flaw::header_synced_after_name,
      Flaw::reuses_before_name_is_synced, Flaw::recovery_syncs_nothing,
      Flaw::recovery_writes_nothing_back, Flaw::retries_failed_sync, Flaw::ignores_failed_write,
      Flaw::durable_upto_ahead, Flaw::takes_over_from_all, Flaw::no_number_in_checksum,
      Flaw::no_checksum_of_records, Flaw::frees_a_file_too_early);
  CAPTURE(static_cast<int>(flaw));
  uint64_t seed = 0;
  while (seed < kSeeds && problem_of(seed, flaw).empty()) ++seed;
  CHECK(seed < kSeeds);
}

TEST_CASE("journal: the disk that puts the flaws in does no harm by itself", "[log]") {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    CAPTURE(seed);
    REQUIRE(problem_of(seed, Flaw::none) == "");
  }
}

}  // namespace
}  // namespace clickmill::log
