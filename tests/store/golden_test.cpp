#include "source_dir.h"
#include "store/merge.h"
#include "store/part_writer.h"
#include "store/shelf_file.h"
#include "store/store_fixture.h"

namespace clickmill::store {
namespace {

const std::string kGoldenDirectory = std::string(kSourceDir) + "/tests/data";
constexpr const char* kGoldenName = "part_v1.part";
constexpr const char* kGoldenNameV2 = "part_v2.part";
constexpr const char* kGoldenShelf = "shelf_v1.parts";

/// Clicks `i` of a row, by plain arithmetic: must give the same rows for ever.
Row golden_row(const std::string& advertiser_id, const std::string& ad_id, int64_t minute,
               uint64_t clicks) {
  Row row;
  row.advertiser_id = advertiser_id;
  row.ad_id = ad_id;
  row.bucket_ms = kStartMs + minute * kMinuteMs;
  for (uint64_t i = 0; i < clicks; ++i) {
    const uint64_t mixed = (i + 1) * (static_cast<uint64_t>(minute) + 7) * 0x9e3779b97f4a7c15;
    row.counts.add(static_cast<click::Device>(mixed >> 61 & 3),
                   click::country_of('A', static_cast<char>('A' + (mixed >> 32) % 5)));
    row.visitors.add(mixed);
  }
  return row;
}

std::vector<Row> golden_rows() {
  std::vector<Row> rows;
  // Small ads that share a block, one under two advertisers.
  for (const char* advertiser : {"adv_1", "adv_2"}) {
    for (const char* ad : {"ad_a", "ad_ab", "other"}) {
      for (int64_t i = 0; i < 5; ++i) {
        rows.push_back(golden_row(advertiser, ad, i * i, static_cast<uint64_t>(i % 3)));
      }
    }
  }
  // One with blocks of its own; one row has so many visitors that its sketch is dense.
  for (int64_t i = 0; i < 300; ++i) {
    const auto clicks = static_cast<uint64_t>(i == 150 ? 3'000 : i % 17);
    rows.push_back(golden_row("adv_3", "big", i + i / 100 * 50, clicks));
  }
  // Counts that don't add up, and huge ones.
  Row odd = golden_row("adv_4", "odd", 0, 0);
  odd.counts = Counts{uint64_t{1} << 63, {1, 2, 3, UINT64_MAX}, {{7, 1}, {9, UINT64_MAX}}};
  rows.push_back(odd);
  return rows;
}

/// Some ads have rows of machines beside the people's, one has these alone.
std::vector<Row> golden_rows_with_automated() {
  std::vector<Row> rows = golden_rows();
  for (const Row& people : golden_rows()) {
    if (people.ad_id != "ad_ab" && people.ad_id != "big") continue;
    rows.push_back(people);
    rows.back().automated = true;
  }
  rows.push_back(golden_row("adv_4", "machines", 3, 40));
  rows.back().automated = true;
  std::sort(rows.begin(), rows.end(), key_less);
  return rows;
}

// Writes the golden files. Run by hand, once per format version.
TEST_CASE_METHOD(StoreFixture, "part: write the golden file", "[.golden]") {
  REQUIRE(write_part(files, kGoldenDirectory, kGoldenName, Table::minute, golden_rows()));
}
TEST_CASE_METHOD(StoreFixture, "part: write the golden file of version 2", "[.golden]") {
  const auto meta = write_part(files, kGoldenDirectory, kGoldenNameV2, Table::minute,
                               golden_rows_with_automated());
  REQUIRE(meta);
  WARN(meta->rows << " rows, " << meta->bytes << " bytes, checksum " << meta->checksum);
}

TEST_CASE_METHOD(StoreFixture, "part: a file of version 1 stays readable", "[store]") {
  const PartMeta meta{kGoldenName, Table::minute,       kStartMs, kStartMs + 399 * kMinuteMs, 331,
                      8'039,       9754286853157404800u};
  const auto part = Part::open(files, kGoldenDirectory, meta);
  REQUIRE(part);
  CHECK((rows_of(**part, whole_scan()) == golden_rows()));
}

TEST_CASE_METHOD(StoreFixture, "part: one without machines' clicks is still of version 1",
                 "[store]") {
  REQUIRE(write_part(files, directory, kGoldenName, Table::minute, golden_rows()));
  const auto beginning_of = [&](const std::string& folder) {
    const auto file = files.open(folder + "/" + kGoldenName, FileSystem::Open::read);
    std::string bytes;
    REQUIRE((*file)->read_at(0, 12, bytes));
    return bytes;
  };
  CHECK(beginning_of(directory) == beginning_of(kGoldenDirectory));
}

TEST_CASE_METHOD(StoreFixture, "part: a file of version 2 stays readable", "[store]") {
  const PartMeta meta{
      kGoldenNameV2, Table::minute,        kStartMs, kStartMs + 399 * kMinuteMs, 642,
      15'649,        18424342520124964927u};
  const auto part = Part::open(files, kGoldenDirectory, meta);
  REQUIRE(part);
  CHECK((rows_of(**part, whole_scan()) == golden_rows_with_automated()));
}

TEST_CASE_METHOD(StoreFixture, "shelf: write the golden file", "[.golden]") {
  const auto writer = ShelfWriter::create(files, kGoldenDirectory, kGoldenShelf);
  REQUIRE(writer);
  uint32_t partition = 0;
  for (const auto& rows : {golden_rows(), golden_rows_with_automated()}) {
    const auto part = write_and_open(rows);
    REQUIRE(add_merged({**writer, PartitionId(partition++)}, {part}, {}));
  }
  REQUIRE((*writer)->finish());
}

TEST_CASE_METHOD(StoreFixture, "shelf: a shared file of version 1 stays readable", "[store]") {
  const auto parts = read_shelf(files, kGoldenDirectory, kGoldenShelf);
  if (!parts) FAIL(parts.error().text());
  REQUIRE(parts->size() == 2);
  for (size_t i = 0; i < 2; ++i) {
    const auto part = Part::open(files, kGoldenDirectory, (*parts)[i].meta);
    REQUIRE(part);
    const auto want = i == 0 ? golden_rows() : golden_rows_with_automated();
    CHECK((rows_of(**part, whole_scan()) == want));
    CHECK((*parts)[i].slot == state::Slot(PartitionId(static_cast<uint32_t>(i))));
  }
}

TEST_CASE("row: bytes of version 1 stay readable", "[store]") {
  using namespace std::string_literals;
  const std::string bytes =
      "\x01\x03"
      "adv"
      "\x02"
      "ad"
      "\xc0\xa9\x07\x03\x02\x01\x00\x00\x02"
      "ED"
      "\x01"
      "SU"
      "\x02\x00"s;
  ByteCursor cursor(bytes);
  const auto row = decode_row(cursor);
  REQUIRE(row);
  CHECK(cursor.done());
  CHECK(row->advertiser_id == "adv");
  CHECK(row->ad_id == "ad");
  CHECK(row->bucket_ms == 60'000);
  const Counts want{
      3, {2, 1, 0, 0}, {{click::country_of('D', 'E'), 1}, {click::country_of('U', 'S'), 2}}};
  CHECK((row->counts == want));
  CHECK(row->visitors.empty());
  CHECK_FALSE(row->automated);
  const std::string of_machines = "\x02" + bytes.substr(1);
  ByteCursor other(of_machines);
  const auto second = decode_row(other);
  REQUIRE(second);
  CHECK(second->automated);
  CHECK((second->counts == want));
}

TEST_CASE("part meta: bytes of version 2 stay readable", "[store]") {
  using namespace std::string_literals;
  const std::string bytes =
      "\x02\x06"
      "1.part"
      "\x02\x00\x80\xb8\x99\x29\x05\x80\x02\x08\x07\x06\x05\x04\x03\x02\x01\x90\x03"s;
  ByteCursor cursor(bytes);
  const auto meta = decode_part_meta(cursor);
  REQUIRE(meta);
  CHECK(cursor.done());
  CHECK(*meta == PartMeta{"1.part", Table::day, 0, kDayMs, 5, 256, 0x0102030405060708, 400});
}

TEST_CASE("part meta: bytes of version 1 stay readable", "[store]") {
  using namespace std::string_literals;
  const std::string bytes =
      "\x01\x06"
      "1.part"
      "\x02\x00\x80\xb8\x99\x29\x05\x80\x02\x08\x07\x06\x05\x04\x03\x02\x01"s;
  ByteCursor cursor(bytes);
  const auto meta = decode_part_meta(cursor);
  REQUIRE(meta);
  CHECK(cursor.done());
  CHECK(*meta == PartMeta{"1.part", Table::day, 0, kDayMs, 5, 256, 0x0102030405060708});
}

}  // namespace
}  // namespace clickmill::store
