#include "base/checksum.h"
#include "store/part_format.h"
#include "store/row_views.h"
#include "store/store_fixture.h"

namespace clickmill::store {
namespace {

/// Goal: whatever happens to the bytes of a part, a reader says so or shows the
/// right rows. Method: a small part with every kind of column, damaged in every
/// place, opened and read in full.
class DamageFixture : public StoreFixture {
 public:
  DamageFixture() {
    Random random(5);
    for (const char* ad : {"ad_1", "ad_2", "ad_3"}) {
      for (int64_t i = 0; i < (ad[3] == '2' ? 70 : 4); ++i) {
        rows.push_back(random_row(random, "adv", ad, kStartMs + i * kMinuteMs, random.below(5)));
      }
    }
    meta = write(rows);
    bytes = *read_file(files, directory + "/1.part");
  }
  void put(std::string_view content) {
    auto file = files.open(directory + "/1.part", FileSystem::Open::truncate);
    REQUIRE(file);
    REQUIRE((*file)->write_at(0, content));
  }
  /// Empty when the damage was found and named; else the rows.
  std::vector<Row> read() {
    std::vector<Row> found;
    auto part = Part::open(files, directory, meta);
    const Status status =
        part ? (*part)->scan(whole_scan(),
                             [&](const RowView& view) { found.push_back(to_row(view)); })
             : Status(std::move(part).error());
    if (status) return found;
    CHECK(status.error().code() == Errc::corrupt);
    CHECK(status.error().path() == directory + "/1.part");
    CHECK(status.error().position() <= bytes.size());
    return {};
  }

  std::vector<Row> rows;
  PartMeta meta;
  std::string bytes;
};

TEST_CASE_METHOD(DamageFixture, "part: every flipped byte is found", "[store]") {
  REQUIRE((read() == rows));
  Random random(6);
  std::vector<size_t> missed;
  for (size_t at = 0; at < bytes.size(); ++at) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ static_cast<char>(1 + random.below(255)));
    put(damaged);
    if (!read().empty()) missed.push_back(at);
  }
  CHECK(missed == std::vector<size_t>{});
}

TEST_CASE_METHOD(DamageFixture, "part: a file of any other length is found", "[store]") {
  std::vector<size_t> missed;
  for (size_t size = 0; size < bytes.size(); ++size) {
    put(std::string_view(bytes).substr(0, size));
    if (!read().empty()) missed.push_back(size);
  }
  put(bytes + '\0');
  if (!read().empty()) missed.push_back(bytes.size() + 1);
  CHECK(missed == std::vector<size_t>{});
}

TEST_CASE_METHOD(DamageFixture, "part: a foreign part under the listed name is found", "[store]") {
  rows[0].counts.add(click::Device::other, click::kUnknownCountry);
  write(rows);
  auto part = Part::open(files, directory, meta);
  REQUIRE_FALSE(part);
  CHECK(part.error().code() == Errc::corrupt);
  CHECK(part.error().message().find("not the part that the list names") == 0);
}

TEST_CASE_METHOD(DamageFixture, "part: a missing file is not_found", "[store]") {
  REQUIRE(files.remove(directory + "/1.part"));
  auto part = Part::open(files, directory, meta);
  REQUIRE_FALSE(part);
  CHECK(part.error().code() == Errc::not_found);
}

TEST_CASE_METHOD(DamageFixture, "part: a newer version is refused by number", "[store]") {
  bytes[8] = 3;
  put(bytes);
  auto part = Part::open(files, directory, meta);
  REQUIRE_FALSE(part);
  CHECK(part.error().text() ==
        directory + "/1.part: byte 0: part: version 3, this program reads 1 to 2 (corrupt)");
}

TEST_CASE_METHOD(DamageFixture, "part: a header of another version than the footer is damage",
                 "[store]") {
  bytes[8] = 2;
  put(bytes);
  auto part = Part::open(files, directory, meta);
  REQUIRE_FALSE(part);
  CHECK(part.error().code() == Errc::corrupt);
  CHECK(part.error().message() == "header of version 2, footer of version 1");
}

TEST_CASE_METHOD(DamageFixture, "part: wrong bytes under right checksums crash nothing",
                 "[store]") {
  // What a checksum lets through (a bug of ours, a hostile peer) must still meet
  // checks of its own: the directory and the footer are made to fit the damage.
  Footer footer;
  const size_t footer_at = bytes.size() - kFooterBytes;
  REQUIRE(decode_footer(std::string_view(bytes).substr(footer_at), bytes.size(), footer).empty());
  Random random(7);
  size_t read_fine = 0;
  for (int i = 0; i < 3'000; ++i) {
    std::string damaged = bytes;
    for (uint64_t flips = 1 + random.below(3); flips > 0; --flips) {
      damaged[kHeaderBytes + random.below(footer_at - kHeaderBytes)] =
          static_cast<char>(random.next());
    }
    Footer fitting = footer;
    for (Piece* piece : {&fitting.dictionary, &fitting.directory}) {
      piece->checksum = xxh64_of(std::string_view(damaged).substr(piece->position, piece->size));
    }
    const std::string end = encode_footer(fitting);
    damaged.replace(footer_at, kFooterBytes, end);
    meta.checksum = footer_checksum(end);
    put(damaged);
    auto part = Part::open(files, directory, meta);
    if (!part) continue;
    const Status status = (*part)->scan(whole_scan(), [&](const RowView&) { ++read_fine; });
    if (!status) CHECK(status.error().code() == Errc::corrupt);
  }
  CAPTURE(read_fine);
}

TEST_CASE_METHOD(DamageFixture, "part: blocks of garbage are refused or decoded, never a crash",
                 "[store]") {
  Random random(8);
  BlockEntry entry;
  std::vector<uint32_t> keys;
  for (const Row& row : rows) keys.push_back(static_cast<uint32_t>(row.ad_id[3] - '1'));
  std::array<std::string, kRegions> regions;
  const RowViews views(rows);
  const CountryOrder order = CountryOrder::of_rows(views);
  entry = encode_block(views, keys, Table::minute, order, regions);
  for (int i = 0; i < 20'000; ++i) {
    BlockEntry wild = entry;
    if (random.one_in(2)) wild.rows = static_cast<uint32_t>(1 + random.below(kBlockRowsMax));
    if (random.one_in(4)) wild.last_key = static_cast<uint32_t>(random.below(wild.rows));
    if (random.one_in(4))
      wild.max_bucket = wild.min_bucket + static_cast<uint32_t>(random.below(99));
    BlockColumns columns;
    auto damaged = regions;
    for (std::string& bytes_of_region : damaged) {
      if (bytes_of_region.empty()) continue;
      bytes_of_region[random.below(std::min<size_t>(bytes_of_region.size(), 40))] =
          static_cast<char>(random.next());
    }
    if (!decode_counts(wild, random.one_in(2) ? regions[0] : damaged[0], columns)) continue;
    decode_estimates(wild, damaged[1], columns);
    decode_visitors(wild, damaged[3], columns);
    if (decode_countries(damaged[2], columns.clicks, order, columns.countries,
                         columns.countries_begin)) {
      CHECK(columns.countries_begin.size() == wild.rows + 1);
    }
  }
}

}  // namespace
}  // namespace clickmill::store
