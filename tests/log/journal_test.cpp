// What recovery makes of files as a crash, an operator or a bad disk may leave them.
// Every test writes with the real journal, changes bytes or names, and opens again.

#include <atomic>
#include <catch2/catch.hpp>
#include <numeric>
#include <thread>

#include "log/journal_life.h"
#include "log/journal_reader.h"
#include "log/journal_recovery.h"

namespace clickmill::log {
namespace {

using Catch::Contains;
using State = JournalLife::State;
constexpr uint64_t kFileBytes = JournalLife::kFileBytes;

/// A life with words for what happens to its files.
struct Rig : JournalLife {
  explicit Rig(uint64_t seed = 1) : JournalLife(seed) {
    options.continue_bytes = 0;
    open_at_last();
  }

  std::string path(uint64_t number) const { return "journal/" + journal_file_name(number); }
  uint64_t current() const { return journal->current_file(); }
  /// One group with one record, durable.
  uint64_t write(size_t filler = 100) {
    const uint64_t id = append(Lane::bulk, filler);
    journal->pump();
    return id;
  }
  /// And a group behind it that says so.
  uint64_t write_noted(size_t filler = 100) {
    const uint64_t id = write(filler);
    pump_all();
    return id;
  }
  void fill_file() {
    for (const uint64_t file = current(); current() == file;) write(8'000);
  }
  uint64_t number_of(uint64_t id) { return records[id].position.value() / kFileBytes; }
  uint64_t byte_of(uint64_t id) { return records[id].position.value() % kFileBytes; }
  /// Flips a bit in the group of a record, 100 bytes from its begin.
  void damage(uint64_t id) {
    sim.kill();
    sim.flip_bit(path(number_of(id)), byte_of(id) + 100);
  }
  void overwrite(uint64_t number, uint64_t byte, std::string_view bytes) {
    auto file = sim.open(path(number), FileSystem::Open::write);
    REQUIRE(file);
    REQUIRE((*file)->write_at(byte, bytes));
    REQUIRE((*file)->sync());
  }
  std::string refusal() {
    sim.kill();
    const auto opened = open();
    REQUIRE_FALSE(opened);
    REQUIRE(opened.error().code() == Errc::corrupt);
    return opened.error().text();
  }
};

TEST_CASE("journal: what was answered is there after a crash, in order", "[log]") {
  Rig rig;
  for (int i = 0; i < 50; ++i) rig.write(static_cast<size_t>(i) * 200);
  CHECK(rig.current() > 2);
  rig.crash();
  rig.open_at_last();
  CHECK(rig.problem == "");
  CHECK(rig.count(State::durable) == 50);
}

TEST_CASE("journal: votes go first into a group, then redirects, then bulk", "[log]") {
  Rig rig;
  const uint64_t bulk = rig.append(Lane::bulk, 9'000);
  const uint64_t redirect = rig.append(Lane::redirects, 9'000);
  const uint64_t vote = rig.append(Lane::votes, 9'000);
  rig.journal->pump();
  CHECK(rig.records[vote].position < rig.records[redirect].position);
  CHECK(rig.records[redirect].position < rig.records[bulk].position);
}

TEST_CASE("journal: a record longer than can stand unsynced is refused", "[log]") {
  Rig rig;
  const size_t most = rig.journal->record_bytes_max() - kRecordOverhead - 8;
  CHECK(rig.append(Lane::bulk, most + 1) == 0);
  CHECK(rig.append(Lane::bulk, most) != 0);
  rig.pump_all();
  rig.crash();
  rig.open_at_last();
  CHECK(rig.problem == "");
  CHECK(rig.count(State::durable) == 1);
}

TEST_CASE("journal: a torn group is cut, and what stands before it stays", "[log]") {
  Rig rig;
  const uint64_t kept = rig.write_noted();
  const uint64_t torn = rig.write();
  rig.damage(torn);
  rig.records[torn].state = State::waiting;  // as if its sync had never returned
  rig.open_at_last();
  CHECK(rig.problem == "");
  CHECK(rig.records[kept].state == State::durable);
  CHECK(rig.records[torn].state == State::gone);
  // Nothing follows it, so nothing but its own bad bytes is cut.
  CHECK(rig.journal->recovered().torn_bytes == 0);
}

TEST_CASE("journal: a whole group behind a torn one is cut with it", "[log]") {
  Rig rig;
  rig.write_noted();
  const uint64_t torn = rig.append(Lane::votes, 11'000);
  const uint64_t behind = rig.append(Lane::bulk, 11'000);
  rig.journal->pump();
  REQUIRE(rig.records[torn].position < rig.records[behind].position);
  rig.damage(torn);
  rig.records[torn].state = rig.records[behind].state = State::waiting;
  rig.open_at_last();
  CHECK(rig.problem == "");
  CHECK(rig.records[behind].state == State::gone);
  CHECK(rig.journal->recovered().torn_bytes == 2 * padded(11'000));
}

TEST_CASE("journal: a bad group that a later one calls durable is damage", "[log]") {
  Rig rig;
  rig.write_noted();
  const uint64_t bad = rig.write();
  rig.write();
  rig.damage(bad);
  const std::string text = rig.refusal();
  CHECK_THAT(text, Contains(rig.path(1)));
  CHECK_THAT(text, Contains(std::to_string(rig.byte_of(bad))));
  CHECK_THAT(text, Contains("its header speaks of 1 records in 1"));
  CHECK_THAT(text, Contains("that a later one calls durable"));
}

TEST_CASE("journal: an idle journal notes that its last group is durable", "[log]") {
  Rig rig;
  const uint64_t bad = rig.write_noted();
  rig.damage(bad);
  CHECK_THAT(rig.refusal(), Contains("that a later one calls durable"));
}

TEST_CASE("journal: a bad group before the place where the next file takes over is damage",
          "[log]") {
  Rig rig;
  const uint64_t bad = rig.write();
  rig.fill_file();
  rig.damage(bad);
  CHECK_THAT(rig.refusal(), Contains("file 2 takes over only from byte"));
}

TEST_CASE("journal: a bad last group of an older file is damage too", "[log]") {
  Rig rig;
  rig.fill_file();
  uint64_t bad = 0;
  for (const auto& [id, record] : rig.records) {
    if (rig.number_of(id) == 1) bad = id;
  }
  rig.damage(bad);
  CHECK_THAT(rig.refusal(), Contains("file 2 takes over only from byte"));
}

TEST_CASE("journal: a bad stretch longer than can have been unsynced is damage", "[log]") {
  // A journal that syncs less often wrote this; its groups say nothing of durability.
  Rig rig;
  const auto groups = GENERATE(7, 8);  // of 4 KiB behind the bad one; 8 × 4 KiB may be unsynced
  std::string bytes;
  for (uint64_t i = 1; i <= static_cast<uint64_t>(groups); ++i) {
    GroupHeader header;
    header.journal_id = rig.journal->recovered().journal_id;
    const auto reader = JournalFileReader::open(rig.sim, rig.path(1), 1);
    REQUIRE(reader);
    header.journal_id = reader->header().journal_id;
    header.file_number = 1;
    header.position = reader->first_group() + i * kJournalAlign;
    std::string group(kGroupHeaderBytes, '\0');
    seal_group(header, group);
    bytes += group;
  }
  rig.sim.kill();
  rig.overwrite(1, 2 * kJournalAlign, bytes);
  if (groups == 7) {
    rig.open_at_last();
    CHECK(rig.problem == "");
    CHECK(rig.journal->recovered().torn_bytes == 32 << 10);
  } else {
    CHECK_THAT(rig.refusal(), Contains("more than could have been unsynced"));
  }
}

TEST_CASE("journal: a missing file between two others is named", "[log]") {
  Rig rig;
  rig.fill_file();
  rig.fill_file();
  rig.sim.kill();
  REQUIRE(rig.sim.remove(rig.path(2)));
  CHECK_THAT(rig.refusal(), Contains(rig.path(3)) && Contains("file 2 before it is missing"));
}

TEST_CASE("journal: files as no crash leaves them are refused by name", "[log]") {
  Rig rig;
  rig.fill_file();
  rig.write_noted();
  rig.sim.kill();
  SECTION("zero-length") {
    auto file = rig.sim.open(rig.path(2), FileSystem::Open::truncate);
    CHECK_THAT(rig.refusal(), Contains(rig.path(2)) && Contains("file header is cut off"));
  }
  SECTION("of a newer version") {
    rig.overwrite(2, 0, "CMJRNL02");
    CHECK_THAT(rig.refusal(), Contains("not a journal file of this version"));
  }
  SECTION("with a bad header") {
    rig.sim.flip_bit(rig.path(2), 20);
    CHECK_THAT(rig.refusal(), Contains("file header fails its checksum"));
  }
  SECTION("under another file's name") {
    REQUIRE(rig.sim.rename(rig.path(2), rig.path(3)));
    CHECK_THAT(rig.refusal(), Contains(rig.path(3)) && Contains("the header is that of file 2"));
  }
  SECTION("of another journal") {
    Rig other(2);
    other.fill_file();
    std::string bytes;
    const auto file = other.sim.open(other.path(2), FileSystem::Open::read);
    REQUIRE((*file)->read_at(0, kFileBytes, bytes));
    rig.overwrite(2, 0, bytes);
    CHECK_THAT(rig.refusal(), Contains("file of another journal"));
  }
  SECTION("cut off in an older file") {
    auto file = rig.sim.open(rig.path(1), FileSystem::Open::write);
    REQUIRE((*file)->truncate(20'480));
    CHECK_THAT(rig.refusal(), Contains(rig.path(1)) && Contains("takes over only from byte"));
  }
}

TEST_CASE("journal: a next file that took over nothing yet may stand there", "[log]") {
  // A crash between the renaming of a new file and its first group.
  Rig rig;
  rig.write_noted();
  for (int restarts = 0; restarts < 4; ++restarts) {
    rig.crash();
    rig.open_at_last();
  }
  CHECK(rig.problem == "");
  CHECK(rig.current() == 5);
  CHECK(rig.count(State::durable) == 1);
}

TEST_CASE("journal: a start goes on in a file of which little is written", "[log]") {
  Rig rig;
  rig.options.continue_bytes = Rig::kFileBytes / 2;
  rig.write_noted();
  const uint64_t torn = rig.append(Lane::votes, 11'000);
  const uint64_t behind = rig.append(Lane::bulk, 11'000);
  rig.journal->pump();
  rig.damage(torn);
  rig.records[torn].state = rig.records[behind].state = State::waiting;
  rig.open_at_last();
  CHECK(rig.current() == 1);
  CHECK(rig.records[behind].state == State::gone);
  // Three groups in place of the torn one: the whole one stood right behind them.
  const uint64_t first = rig.write();
  rig.write();
  const uint64_t third = rig.write();
  CHECK(rig.records[first].position == rig.records[torn].position);
  CHECK(rig.records[third].position + kJournalAlign == rig.records[behind].position);
  rig.kill();
  rig.open_at_last();
  CHECK(rig.problem == "");
  CHECK(rig.current() == 1);
  while (rig.byte_of(rig.write(8'000)) < Rig::kFileBytes / 2) {
  }
  rig.kill();
  rig.open_at_last();
  CHECK(rig.current() == 2);
  CHECK(rig.problem == "");
}

TEST_CASE("journal: released files are recycled, and their former lives stay buried", "[log]") {
  Rig rig;
  for (int round = 0; round < 12; ++round) {
    rig.fill_file();
    rig.release_before(JournalPos(rig.current() * kFileBytes));
    CHECK(rig.journal->file_count() <= 2);
    if (round % 3 == 2) {
      rig.crash();
      rig.open_at_last();
      CHECK(rig.problem == "");
    }
  }
  size_t spares = 0;
  const auto names = rig.sim.list("journal");
  REQUIRE(names);
  for (const std::string& name : *names) spares += name.starts_with("spare-") ? 1 : 0;
  CHECK(spares <= 2);
  CHECK(names->size() <= 4);
}

TEST_CASE("journal: spares of the last run are used again, half-written ones go", "[log]") {
  Rig rig;
  rig.fill_file();
  rig.release_before(JournalPos(rig.current() * kFileBytes));
  rig.sim.kill();
  auto half = rig.sim.open("journal/spare-77", FileSystem::Open::create);
  REQUIRE((*half)->write_at(0, std::string(5'000, '\0')));
  rig.sim.set_capacity_bytes(kFileBytes * 2 + 6'000);  // no room for another file
  rig.open_at_last();
  CHECK(rig.problem == "");
  CHECK_FALSE(rig.sim.exists("journal/spare-77"));
}

TEST_CASE("journal: a failed name sync neither leaks a file nor frees it early", "[log]") {
  Rig rig;
  rig.fill_file();
  rig.fill_file();
  rig.sim.fail_sync_after(1);
  rig.release_before(JournalPos(rig.current() * kFileBytes));
  CHECK(rig.journal->file_count() == 2);  // one renamed, its name not known durable
  rig.release_before(JournalPos(rig.current() * kFileBytes));
  CHECK(rig.journal->file_count() == 1);
  rig.fill_file();
  rig.fill_file();
  rig.crash();
  rig.open_at_last();
  CHECK(rig.problem == "");
}

TEST_CASE("journal: after a second failure in a row everything waits, and goes on by itself",
          "[log]") {
  Rig rig;
  const uint64_t kept = rig.write_noted();
  rig.append_some();
  rig.sim.fail_write_after(1);
  rig.sim.fail_sync_after(1);  // of the new file
  const size_t before = rig.records.size();
  rig.journal->pump();
  CHECK(rig.journal->health() == Journal::Health::failing);
  CHECK(rig.count(State::failed) == 0);
  CHECK(rig.count(State::waiting) == before - 1);
  CHECK(rig.append(Lane::votes, 10) != 0);
  rig.pump_until_ok();
  CHECK(rig.count(State::durable) == before + 1);
  rig.crash();
  rig.open_at_last();
  CHECK(rig.problem == "");
  CHECK(rig.records[kept].state == State::durable);
}

TEST_CASE("journal: after a failed sync a torn new file voids nothing that was durable", "[log]") {
  for (uint64_t operation = 1; operation < 12; ++operation) {
    CAPTURE(operation);
    Rig rig(operation);
    rig.write_noted();
    rig.append_some();
    rig.sim.fail_sync_after(1);
    rig.sim.crash_at_operation(operation);
    rig.journal->pump();
    rig.sim.fail_sync_after(0);
    rig.crash();
    rig.open_at_last();
    CHECK(rig.problem == "");
  }
}

TEST_CASE("journal: a failed note leaves no hole that looks like damage", "[log]") {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    CAPTURE(seed);
    Rig rig(seed);
    rig.write();
    rig.sim.fail_write_after(1);
    rig.pump_all();
    rig.write_noted();
    rig.crash();
    rig.open_at_last();
    CHECK(rig.problem == "");
  }
}

TEST_CASE("journal: what waits when it stops on a full disk hears that it failed", "[log]") {
  Rig rig;
  rig.sim.set_capacity_bytes(1);
  for (int i = 0; i < 12; ++i) {
    rig.append(Lane::votes, 20'000);
    rig.journal->pump();
  }
  REQUIRE(rig.journal->health() == Journal::Health::no_room);
  rig.journal->stop();
  CHECK(rig.count(State::waiting) == 0);
  CHECK(rig.count(State::failed) > 0);
}

TEST_CASE("journal: arrival time never falls across a restart, whatever the clock says", "[log]") {
  Rig rig;
  rig.clock.advance_ms(3'600'000);
  rig.write_noted();
  const int64_t before = rig.node_clock.now().value();
  rig.crash();
  ManualClock late(1'600'000'000'000);
  NodeClock restarted(late);
  const auto opened = Journal::open(rig.sim, "journal", restarted, JournalLife::small_options(),
                                    [](JournalPos, const RecordView&) -> Status { return {}; });
  REQUIRE(opened);
  CHECK(restarted.now().value() == before);
}

TEST_CASE("journal: a flipped bit in any group is never handed on", "[log]") {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    Rig rig(seed);
    for (int i = 0; i < 4; ++i) rig.append_some();
    rig.pump_all();
    rig.sim.kill();
    rig.sim.flip_bit(rig.path(1), seed * 211 % (12 * kJournalAlign));
    // Refused, or cut off, or in padding: but no record that is not what was appended.
    const auto opened = rig.open();
    CHECK_THAT(rig.problem, !Contains("is not what was appended"));
    if (!opened) CHECK(opened.error().code() == Errc::corrupt);
  }
}

class CountingWaiter final : public JournalWaiter {
 public:
  void durable(JournalPos, std::string&&) override { ++durable_; }
  void failed(const Error&, std::string&&) override { ++failed_; }
  std::atomic<int> durable_{0};
  std::atomic<int> failed_{0};
};

TEST_CASE("journal: many threads append at once and each keeps its order", "[log]") {
  constexpr uint64_t kThreads = 4, kEach = 500;
  simulation::SimFileSystem sim(1);
  ManualClock wall(1'700'000'000'000);
  NodeClock clock(wall);
  std::vector<std::vector<uint64_t>> found(kThreads);
  const auto replay = [&](JournalPos, const RecordView& record) -> Status {
    found[record.partition.value()].push_back(ByteCursor(record.payload).u64());
    return {};
  };
  const auto waiter = std::make_shared<CountingWaiter>();
  std::atomic<int> refused{0};
  {
    auto journal = Journal::open(sim, "journal", clock, JournalLife::small_options(), replay);
    REQUIRE(journal);
    (*journal)->start();
    std::vector<std::thread> threads;
    for (uint32_t t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (uint64_t i = 0; i < kEach; ++i) {
          Append record;
          record.lane = Lane::redirects;
          record.partition = PartitionId(t);
          ByteWriter(record.payload).u64(i);
          record.waiter = waiter;
          if (!(*journal)->append(std::move(record))) ++refused;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    (*journal)->stop();
  }
  CHECK(refused == 0);
  CHECK(waiter->durable_ == kThreads * kEach);
  CHECK(waiter->failed_ == 0);
  sim.crash();
  sim.restart();
  REQUIRE(Journal::open(sim, "journal", clock, JournalLife::small_options(), replay));
  std::vector<uint64_t> want(kEach);
  std::iota(want.begin(), want.end(), uint64_t{0});
  for (const auto& ids : found) CHECK(ids == want);
}

}  // namespace
}  // namespace clickmill::log
