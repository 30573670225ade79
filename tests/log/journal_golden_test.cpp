// A journal written by the first version must stay readable. It was made by the hidden
// test below: clickmill-tests "[write-golden-journal]".

#include <catch2/catch.hpp>

#include "base/bytes.h"
#include "log/journal.h"
#include "simulation/sim_file_system.h"
#include "source_dir.h"

namespace clickmill::log {
namespace {

const std::string kGolden = std::string(kSourceDir) + "/tests/data/journal_v1";
constexpr int64_t kTime = 1'782'295'200'000;
constexpr int kRecords = 12;

Journal::Options golden_options() {
  Journal::Options options;
  options.file_bytes = 5 * kJournalAlign;
  options.group_bytes = 4'096;
  options.unsynced_bytes = 4 * kJournalAlign;
  return options;
}

std::string text_of(int i, RecordKind kind, PartitionId partition, std::string_view payload) {
  return std::to_string(i) + ": " + std::to_string(static_cast<int>(kind)) + " " +
         std::to_string(partition.value()) + " " + std::string(payload);
}

Append golden_record(int i) {
  Append record;
  record.kind = static_cast<RecordKind>(1 + i % 6);
  record.partition = PartitionId(static_cast<uint32_t>(i * 30));
  record.payload =
      "record " + std::string(static_cast<size_t>(i) * 200, static_cast<char>('a' + i));
  return record;
}

TEST_CASE("journal: write the golden files", "[.write-golden-journal]") {
  PosixFileSystem files;
  ManualClock wall(kTime);
  NodeClock clock(wall);
  auto journal = Journal::open(files, kGolden, clock, golden_options(),
                               [](JournalPos, const RecordView&) -> Status { return {}; });
  REQUIRE(journal);
  for (int i = 0; i < kRecords; ++i) {
    wall.advance_ms(1'000);
    REQUIRE((*journal)->append(golden_record(i)));
    (*journal)->pump();
  }
  (*journal)->pump();
}

TEST_CASE("journal: reads the files of version 1", "[log]") {
  PosixFileSystem disk;
  // A copy, since opening begins a new file.
  simulation::SimFileSystem files(1);
  REQUIRE(files.create_directories("journal"));
  const auto names = disk.list(kGolden);
  REQUIRE(names);
  REQUIRE(names->size() >= 3);
  for (const std::string& name : *names) {
    REQUIRE(write_file_atomically(files, "journal/" + name,
                                  read_file(disk, kGolden + "/" + name).value()));
  }
  std::vector<std::string> found, want;
  const auto replay = [&](JournalPos, const RecordView& record) -> Status {
    found.push_back(
        text_of(static_cast<int>(found.size()), record.kind, record.partition, record.payload));
    return {};
  };
  ManualClock wall(0);
  NodeClock clock(wall);
  const auto journal = Journal::open(files, "journal", clock, golden_options(), replay);
  REQUIRE(journal);
  for (int i = 0; i < kRecords; ++i) {
    const Append record = golden_record(i);
    want.push_back(text_of(i, record.kind, record.partition, record.payload));
  }
  CHECK(found == want);
  CHECK(clock.now().value() == kTime + kRecords * 1'000);
}

}  // namespace
}  // namespace clickmill::log
