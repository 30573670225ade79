// Goal: whatever crashes, kills and failures come, also during recovery, the journal
// keeps what it promised (JournalLife says what). Method: seeded lives on the simulated
// disk; then one script, interrupted at each of its disk operations in turn.

#include <catch2/catch.hpp>

#include "log/journal_life.h"

namespace clickmill::log {
namespace {

using State = JournalLife::State;

/// Work that crosses files, recycles them, and ends with an idle journal.
void run_script(JournalLife& life) {
  for (int step = 0; step < 9 && !life.sim.crashed(); ++step) {
    life.append_some();
    life.append(Lane::bulk, 9'000);
    life.journal->pump();
    if (step % 3 == 2) life.release_some();
  }
  life.pump_all();
}

TEST_CASE("journal: in hundreds of seeded lives nothing promised is lost", "[log]") {
  size_t durable = 0, gone = 0;
  for (uint64_t seed = 0; seed < 600; ++seed) {
    JournalLife life(seed);
    live(life);
    CAPTURE(seed);
    REQUIRE(life.problem == "");
    durable += life.count(State::durable);
    gone += life.count(State::gone);
  }
  CHECK(durable > 6'000);
  CHECK(gone > 600);
}

TEST_CASE("journal: a crash at any operation keeps what was answered", "[log]") {
  uint64_t points = 0;
  for (uint64_t seed = 0; seed < 10; ++seed) {
    for (uint64_t operation = 1;; ++operation) {
      CAPTURE(seed, operation);
      JournalLife life(seed);
      life.open_at_last();
      life.sim.crash_at_operation(operation);
      run_script(life);
      const bool hit = life.sim.crashed();
      life.crash();
      life.open_at_last();
      run_script(life);
      life.crash();
      life.open_at_last();
      REQUIRE(life.problem == "");
      if (!hit) break;
      ++points;
    }
  }
  CHECK(points > 300);
}

TEST_CASE("journal: a crash at any operation of a recovery, and again in the next, loses nothing",
          "[log]") {
  for (uint64_t seed = 0; seed < 15; ++seed) {
    for (uint64_t operation = 1;; ++operation) {
      CAPTURE(seed, operation);
      JournalLife life(seed);
      life.open_at_last();
      run_script(life);
      // What the page cache holds may be all there is of the newest groups.
      life.append_some();
      life.sim.crash_at_operation(2);
      life.journal->pump();
      life.crash();
      life.sim.crash_at_operation(operation);
      const auto first = life.open();
      const bool hit = life.sim.crashed();
      life.crash();
      life.sim.crash_at_operation(operation);
      life.open_at_last();
      life.sim.crash_at_operation(0);
      run_script(life);
      life.crash();
      life.open_at_last();
      REQUIRE(life.problem == "");
      REQUIRE(first.has_value() != hit);
      if (!hit) break;
    }
  }
}

/// Fails the n-th operation of a kind, for each n in turn, in the middle of the script.
void work_despite(void (simulation::SimFileSystem::*fail)(uint64_t), bool crash) {
  uint64_t rewrites = 0;
  for (uint64_t seed = 0; seed < 6; ++seed) {
    for (uint64_t n = 1; n < 40; ++n) {
      CAPTURE(seed, n);
      JournalLife life(seed);
      life.open_at_last();
      (life.sim.*fail)(n);
      run_script(life);
      (life.sim.*fail)(0);
      REQUIRE(life.journal->health() == Journal::Health::ok);
      REQUIRE(life.count(State::durable) == life.records.size());
      rewrites += life.journal->stats().rewrites.value();
      if (crash) {
        life.crash();
      } else {
        life.kill();
      }
      life.open_at_last();
      REQUIRE(life.problem == "");
    }
  }
  CHECK(rewrites > 30);
}

TEST_CASE("journal: a failed sync is rewritten to a new file and everything is answered", "[log]") {
  work_despite(&simulation::SimFileSystem::fail_sync_after, true);
  work_despite(&simulation::SimFileSystem::fail_sync_after, false);
}

TEST_CASE("journal: a failed write is rewritten to a new file and everything is answered",
          "[log]") {
  work_despite(&simulation::SimFileSystem::fail_write_after, true);
  work_despite(&simulation::SimFileSystem::fail_write_after, false);
}

TEST_CASE("journal: what a failed sync dropped is not handed on after a kill", "[log]") {
  // The machine goes down between the failed sync and the new file, the process
  // only first: recovery reads from the cache what the disk doesn't have.
  for (uint64_t seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    JournalLife life(seed);
    life.open_at_last();
    life.append_some();
    life.pump_all();
    life.append_some();
    life.sim.fail_sync_after(1);
    life.sim.fail_write_after(2);  // so that the new file does not come about at once
    life.journal->pump();
    life.kill();
    life.sim.fail_write_after(0);
    life.open_at_last();
    life.crash();
    life.open_at_last();
    REQUIRE(life.problem == "");
  }
}

TEST_CASE("journal: on a full disk records wait and are written when space returns", "[log]") {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    CAPTURE(seed);
    JournalLife life(seed);
    life.open_at_last();
    life.sim.set_capacity_bytes(JournalLife::kFileBytes * (1 + seed % 4) + seed * 1'000);
    for (int step = 0; step < 40 && life.journal->health() == Journal::Health::ok; ++step) {
      life.append(static_cast<Lane>(step % 3), 9'000);
      life.journal->pump();
    }
    REQUIRE(life.journal->health() == Journal::Health::no_room);
    for (int step = 0; step < 10; ++step) {
      life.append(static_cast<Lane>(step % 3), 3'000);
      life.journal->pump();
    }
    REQUIRE(life.journal->health() == Journal::Health::no_room);
    REQUIRE(life.count(State::failed) == 0);
    if (seed % 3 == 0) {
      life.crash();
      life.sim.set_capacity_bytes(~uint64_t{0});
      life.open_at_last();
    } else {
      life.sim.set_capacity_bytes(~uint64_t{0});
      life.journal->pump();
      life.pump_all();
      REQUIRE(life.journal->health() == Journal::Health::ok);
      REQUIRE(life.count(State::durable) == life.records.size());
    }
    life.crash();
    life.open_at_last();
    REQUIRE(life.problem == "");
  }
}

TEST_CASE("journal: the longest stretch that can stand unsynced is a torn tail, never damage",
          "[log]") {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    JournalLife life(seed);
    life.open_at_last();
    life.append(Lane::bulk, 10);
    life.pump_all();  // with the note that it is durable
    // Each of them pads its group as much as a group can be padded.
    for (int i = 0; i < 40; ++i) life.append(Lane::bulk, seed % 2 == 0 ? 4'200 : 8'300);
    life.sim.crash_at_operation(1 + seed % 12);
    life.pump_all();
    life.crash();
    life.open_at_last();
    REQUIRE(life.problem == "");
  }
}

}  // namespace
}  // namespace clickmill::log
