// Goal: after any damage, and a crash at any operation of the salvage, the journal opens
// again with everything that could still be read, and the damaged files are kept.

#include "log/journal_salvage.h"

#include <catch2/catch.hpp>
#include <functional>
#include <set>

#include "log/journal_life.h"
#include "log/journal_reader.h"

namespace clickmill::log {
namespace {

using Catch::Contains;
using State = JournalLife::State;
constexpr uint64_t kFileBytes = JournalLife::kFileBytes;

struct Wreck : JournalLife {
  explicit Wreck(uint64_t seed) : JournalLife(seed) {
    open_at_last();
    while (journal->current_file() < 4) {
      append_some();
      pump_all();
    }
    sim.kill();
    journal.reset();
  }
  std::string path(uint64_t number) const { return "journal/" + journal_file_name(number); }
  std::string bytes_of(const std::string& file_path) {
    auto text = read_file(sim, file_path);
    REQUIRE(text);
    return *text;
  }
  Result<Salvaged> salvage() {
    return salvage_journal(sim, "journal", small_options().unsynced_bytes);
  }
  Salvaged salvage_at_last() {
    while (true) {
      auto done = salvage();
      if (done) return *std::move(done);
      REQUIRE(sim.crashed());
      sim.restart();
    }
  }
  /// So that a crash in the salvage changes no bytes of the originals.
  void settle() {
    const auto names = sim.list("journal");
    REQUIRE(names);
    for (const std::string& name : *names) {
      auto file = sim.open("journal/" + name, FileSystem::Open::write);
      REQUIRE((*file)->sync());
    }
    REQUIRE(sim.sync_directory("journal"));
  }
  /// A record in file `number`, some way in.
  uint64_t record_in(uint64_t number, size_t skip) const {
    uint64_t found = 0;
    for (const auto& [id, record] : records) {
      if (record.position.value() / kFileBytes != number) continue;
      found = id;
      if (skip-- == 0) break;
    }
    return found;
  }
  /// Records that stand in the group at `position` may be gone without a complaint.
  void expect_lost(const std::function<bool(JournalPos)>& lost) {
    for (auto& [id, record] : records) {
      if (lost(record.position)) record.state = State::failed;
    }
  }
};

TEST_CASE("salvage: a sound journal is left as it is", "[log]") {
  Wreck wreck(1);
  const uint64_t before = wreck.sim.operations();
  const auto salvaged = wreck.salvage();
  REQUIRE(salvaged);
  CHECK(salvaged->damage.empty());
  CHECK(salvaged->kept_aside.empty());
  CHECK(wreck.sim.operations() == before + 1);  // the folder's sync
  wreck.open_at_last();
  CHECK(wreck.problem == "");
}

TEST_CASE("salvage: an empty folder is nothing to salvage", "[log]") {
  simulation::SimFileSystem sim(1);
  REQUIRE(sim.create_directories("journal"));
  const auto salvaged = salvage_journal(sim, "journal", 32 << 10);
  REQUIRE(salvaged);
  CHECK(salvaged->damage.empty());
}

TEST_CASE("salvage: a torn tail is no damage", "[log]") {
  Wreck wreck(1);
  wreck.open_at_last();
  const uint64_t torn = wreck.append(Lane::bulk, 100);
  wreck.journal->pump();
  wreck.sim.kill();
  wreck.sim.flip_bit(wreck.path(wreck.records[torn].position.value() / kFileBytes),
                     wreck.records[torn].position.value() % kFileBytes + 100);
  wreck.records[torn].state = State::waiting;
  wreck.journal.reset();
  CHECK(wreck.salvage_at_last().damage.empty());
  wreck.open_at_last();
  CHECK(wreck.problem == "");
}

enum class Harm {
  group,
  two_groups,
  file_header,
  missing_file,
  cut_off,
  zero_length,
  newest_group
};

/// Does the harm; what must be told of it is `named`.
void harm(Wreck& wreck, Harm what, std::string& named) {
  constexpr auto kHarmed = "without the harm the test fails";
  const uint64_t bad = wreck.record_in(2, 2);
  const JournalPos position = wreck.records[bad].position;
  const auto flip = [&](JournalPos at) {
    wreck.sim.flip_bit(wreck.path(at.value() / kFileBytes), at.value() % kFileBytes + 90);
    wreck.expect_lost([at](JournalPos of) { return of == at; });
  };
  named = wreck.path(2);
  switch (what) {
    case Harm::group: return flip(position);
    case Harm::two_groups:
      flip(position);
      return flip(wreck.records[wreck.record_in(2, 7)].position);
    case Harm::file_header: return wreck.sim.flip_bit(wreck.path(2), 12);
    case Harm::missing_file:
      ignore(wreck.sim.remove(wreck.path(2)), kHarmed);
      return wreck.expect_lost([](JournalPos of) { return of.value() / kFileBytes == 2; });
    case Harm::cut_off: {
      auto file = wreck.sim.open(wreck.path(2), FileSystem::Open::write);
      ignore((*file)->truncate(position.value() % kFileBytes + 70), kHarmed);
      ignore((*file)->sync(), kHarmed);
      return wreck.expect_lost(
          [=](JournalPos of) { return of >= position && of.value() / kFileBytes == 2; });
    }
    case Harm::zero_length: {
      auto file = wreck.sim.open(wreck.path(2), FileSystem::Open::truncate);
      ignore((*file)->sync(), kHarmed);
      return wreck.expect_lost([](JournalPos of) { return of.value() / kFileBytes == 2; });
    }
    case Harm::newest_group:
      wreck.open_at_last();
      wreck.append_some();
      wreck.pump_all();
      wreck.sim.kill();
      wreck.journal.reset();
      named = wreck.path(wreck.records.rbegin()->second.position.value() / kFileBytes);
      return flip(wreck.records.rbegin()->second.position);
  }
}

TEST_CASE("salvage: what can be read is back after any harm and any crash", "[log]") {
  const auto what = GENERATE(Harm::group, Harm::two_groups, Harm::file_header, Harm::missing_file,
                             Harm::cut_off, Harm::zero_length, Harm::newest_group);
  CAPTURE(static_cast<int>(what));
  for (uint64_t seed = 0; seed < 2; ++seed) {
    for (uint64_t operation = 0;; ++operation) {
      CAPTURE(seed, operation);
      Wreck wreck(seed);
      std::string named;
      harm(wreck, what, named);
      const bool sound = wreck.open().has_value();
      wreck.journal.reset();
      REQUIRE_FALSE(sound);
      wreck.settle();
      const std::string original = wreck.sim.exists(named) ? wreck.bytes_of(named) : "";
      wreck.sim.crash_at_operation(operation);
      auto salvaged = wreck.salvage();
      const bool hit = wreck.sim.crashed();
      if (hit) {
        wreck.sim.restart();
        wreck.salvage_at_last();
      } else {
        REQUIRE(salvaged);
        REQUIRE_FALSE(salvaged->damage.empty());
        CHECK(salvaged->damage.front().path == named);
        CHECK(salvaged->damage.front().to_byte > salvaged->damage.front().from_byte);
      }
      wreck.sim.crash_at_operation(0);
      if (what != Harm::missing_file) CHECK((wreck.bytes_of(named + ".damaged") == original));
      wreck.open_at_last();
      wreck.append_some();
      wreck.pump_all();
      wreck.crash();
      wreck.open_at_last();
      REQUIRE(wreck.problem == "");
      if (operation > 0 && !hit) break;
    }
  }
}

TEST_CASE("salvage: a second damage to the same file keeps both originals", "[log]") {
  Wreck wreck(3);
  std::string named;
  harm(wreck, Harm::group, named);
  wreck.salvage_at_last();
  harm(wreck, Harm::two_groups, named);
  const auto salvaged = wreck.salvage_at_last();
  REQUIRE(salvaged.kept_aside.size() == 1);
  CHECK(salvaged.kept_aside.front() == named + ".damaged-2");
  wreck.open_at_last();
  CHECK(wreck.problem == "");
}

TEST_CASE("salvage: a file cut off inside the padding of its last group loses nothing by that",
          "[log]") {
  JournalLife life(8);
  life.open_at_last();
  const uint64_t bad = life.append(Lane::bulk, 100);
  life.journal->pump();
  const uint64_t last = life.append(Lane::bulk, 100);
  life.journal->pump();
  life.sim.kill();
  life.journal.reset();
  const std::string path = "journal/" + journal_file_name(1);
  const uint64_t byte = life.records[bad].position.value() % kFileBytes + 70;
  life.sim.flip_bit(path, byte);
  life.records[bad].state = State::failed;
  auto file = life.sim.open(path, FileSystem::Open::write);
  REQUIRE((*file)->truncate(life.records[last].position.value() % kFileBytes + 1'000));
  const auto salvaged = salvage_journal(life.sim, "journal", 32 << 10);
  REQUIRE(salvaged);
  CHECK(salvaged->damage.size() == 1);
  life.open_at_last();
  CHECK(life.problem == "");
  CHECK(life.records[last].state == State::durable);
}

TEST_CASE("salvage: when nothing can be read the files are set aside and a new journal begins",
          "[log]") {
  Wreck wreck(4);
  size_t files = 0;
  const auto names = wreck.sim.list("journal");
  REQUIRE(names);
  for (const std::string& name : *names) {
    if (journal_file_number(name) == 0) continue;
    ++files;
    auto file = wreck.sim.open("journal/" + name, FileSystem::Open::truncate);
    REQUIRE((*file)->write_at(0, std::string(kFileBytes, 'x')));
  }
  wreck.expect_lost([](JournalPos) { return true; });
  const auto salvaged = wreck.salvage_at_last();
  CHECK(salvaged.damage.size() == files);
  CHECK(salvaged.kept_aside.size() == files);
  wreck.open_at_last();
  CHECK(wreck.problem == "");
}

TEST_CASE("salvage: the only file's header is rebuilt from its groups", "[log]") {
  JournalLife life(9);
  life.open_at_last();
  life.append_some();
  life.pump_all();
  life.sim.kill();
  life.journal.reset();
  life.sim.flip_bit("journal/" + journal_file_name(1), 3);
  const auto salvaged = salvage_journal(life.sim, "journal", 32 << 10);
  REQUIRE(salvaged);
  REQUIRE(salvaged->damage.size() == 1);
  CHECK_THAT(salvaged->damage.front().what, Contains("not a journal file of this version"));
  life.open_at_last();
  CHECK(life.problem == "");
  CHECK(life.count(State::durable) == life.records.size());
}

TEST_CASE("salvage: a stray file far from the others is not bridged", "[log]") {
  Wreck wreck(5);
  auto stray = wreck.sim.open(wreck.path(4'000'000), FileSystem::Open::create);
  const auto salvaged = wreck.salvage();
  REQUIRE_FALSE(salvaged);
  CHECK(salvaged.error().code() == Errc::invalid);
}

}  // namespace
}  // namespace clickmill::log
