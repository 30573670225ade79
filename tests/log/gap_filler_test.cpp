#include "log/gap_filler.h"

#include <catch2/catch.hpp>

#include "base/bytes.h"
#include "log/partition_log.h"

namespace clickmill::log {
namespace {

constexpr uint8_t kKind = 7;

Status replay(GapFiller& filler, RecordKind kind, uint64_t first, uint32_t count, int64_t time,
              uint64_t term = 3) {
  Entry entry{Offset(first), count, 1, Term(term), LogMs(time), "payload"};
  std::string payload;
  encode_entry(entry, payload);
  return filler.replay({kind, PartitionId(0), payload});
}

/// `first-last@term/time`, in a row.
std::string text_of(const std::vector<Entry>& entries) {
  std::string out;
  for (const Entry& entry : entries) {
    CHECK(entry.kind == kKind);
    CHECK(entry.payload.empty());
    out += std::to_string(entry.first.value()) + "-" + std::to_string(entry.last().value()) + "@" +
           std::to_string(entry.term.value()) + "/" + std::to_string(entry.append_ms.value()) + " ";
  }
  return out;
}

std::string fill(const GapFiller& filler, uint64_t sealed, uint64_t applied,
                 int64_t applied_ms = 0) {
  return text_of(filler.fill({Offset(sealed), Offset(applied), LogMs(applied_ms)}, kKind));
}

TEST_CASE("gap filler: a log without holes needs nothing", "[log]") {
  GapFiller filler;
  CHECK(fill(filler, 0, 0) == "");
  CHECK(fill(filler, 90, 90) == "");
  REQUIRE(replay(filler, RecordKind::entry, 91, 10, 1'000));
  REQUIRE(replay(filler, RecordKind::entry, 101, 1, 2'000));
  CHECK(fill(filler, 90, 95) == "");
}

TEST_CASE("gap filler: a hole gets term and time of what stands behind it", "[log]") {
  GapFiller filler;
  REQUIRE(replay(filler, RecordKind::entry, 1, 10, 1'000, 1));
  REQUIRE(replay(filler, RecordKind::entry, 31, 10, 2'000, 2));
  CHECK(fill(filler, 0, 0) == "11-30@2/2000 ");
  // Between the segments and the journal too, and not where it is sealed.
  CHECK(fill(filler, 20, 0) == "21-30@2/2000 ");
  CHECK(fill(filler, 40, 0) == "");
}

TEST_CASE("gap filler: what the checkpoint has seen behind the end is filled", "[log]") {
  GapFiller filler;
  CHECK(fill(filler, 5, 9, 7'000) == "6-9@1/7000 ");
  REQUIRE(replay(filler, RecordKind::entry, 6, 2, 8'000, 4));
  CHECK(fill(filler, 5, 9, 7'000) == "8-9@4/8000 ");
}

TEST_CASE("gap filler: no filler crosses a block", "[log]") {
  GapFiller filler;
  REQUIRE(replay(filler, RecordKind::entry, 9'001, 1, 5, 1));
  CHECK(fill(filler, 4'000, 0) == "4001-4095@1/5 4096-8191@1/5 8192-9000@1/5 ");
}

TEST_CASE("gap filler: a copy fills an empty place only, a truncation empties", "[log]") {
  GapFiller filler;
  REQUIRE(replay(filler, RecordKind::entry, 1, 10, 1));
  REQUIRE(replay(filler, RecordKind::copied_entry, 1, 5, 1));
  REQUIRE(replay(filler, RecordKind::copied_entry, 11, 5, 2));
  REQUIRE(replay(filler, RecordKind::entry, 21, 1, 3));
  CHECK(fill(filler, 0, 0) == "16-20@3/3 ");
  std::string payload;
  ByteWriter(payload).varint(11);
  REQUIRE(filler.replay({RecordKind::truncate, PartitionId(0), payload}));
  CHECK(fill(filler, 0, 0) == "");
  CHECK(fill(filler, 0, 12) == "11-12@3/1 ");
}

TEST_CASE("gap filler: a filled log opens", "[log]") {
  GapFiller filler;
  REQUIRE(replay(filler, RecordKind::entry, 31, 10, 2'000, 2));
  REQUIRE(replay(filler, RecordKind::entry, 5'000, 10, 2'500, 2));
  for (const Entry& entry : filler.fill({Offset(0), Offset(6'000), LogMs(3'000)}, kKind)) {
    std::string payload;
    encode_entry(entry, payload);
    REQUIRE(filler.replay({RecordKind::copied_entry, PartitionId(0), payload}));
  }
  CHECK(fill(filler, 0, 6'000, 3'000) == "");
  CHECK(filler.newest_append_ms() == LogMs(3'000));
}

}  // namespace
}  // namespace clickmill::log
