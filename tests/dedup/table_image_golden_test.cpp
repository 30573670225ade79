// An image of the present version must stay readable. It was made by the hidden test
// below: clickmill-tests "[write-golden-image]" (then put what it prints here).

#include <catch2/catch.hpp>
#include <iostream>
#include <string>

#include "base/file_system.h"
#include "dedup/table_image.h"
#include "source_dir.h"

namespace clickmill::dedup {
namespace {

const std::string kGolden = std::string(kSourceDir) + "/tests/data/table_image_v2";
constexpr PartitionId kPartition{5};
constexpr ImageCover kCover{1, LogHour(500'030), 9};
constexpr ImageRecord kRecord{1, 4400, 1706901679601869372U, kCover};

/// Written out here so that no other test's generator can change it. All of one shard.
Hash128 id_of(uint64_t n) { return {n * 0x9e3779b97f4a7c15, n << 8 | n << 40 << 5}; }

TEST_CASE("table image: write the golden file", "[.write-golden-image]") {
  PosixFileSystem files;
  IdTable table(500'010);
  for (uint64_t n = 1; n <= 40; ++n) table.insert(id_of(n), 500'010 + static_cast<int64_t>(n / 2));
  TableImages images(files, {kGolden, {}, 1, 1});
  auto writer = images.begin(kPartition, kRecord.number, kCover);
  REQUIRE(writer);
  for (size_t step = 0; step <= IdTable::kShards; ++step) writer->step(table);
  const auto record = writer->take();
  REQUIRE(record);
  std::cout << record->bytes << ", " << record->checksum << "\n";
}

TEST_CASE("table image: reads the file of version 2", "[dedup]") {
  PosixFileSystem files;
  TableImages images(files, {kGolden, {}, 1, 1});
  const auto table = images.read(kPartition, kRecord, 500'010);
  if (!table) FAIL(table.error().text());
  CHECK(table->used() == 40);
  for (uint64_t n = 1; n <= 40; ++n) {
    CAPTURE(n);
    const auto match = table->find(id_of(n));
    CHECK((match.bands >> (500'010 + static_cast<int64_t>(n / 2) - match.first_band) & 1) == 1);
  }
  CHECK(table->find(id_of(41)).bands == 0);
}

}  // namespace
}  // namespace clickmill::dedup
