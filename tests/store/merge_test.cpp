#include "store/merge.h"

#include <map>

#include "store/merge.h"
#include "store/row_views.h"
#include "store/store_fixture.h"

namespace clickmill::store {
namespace {

using Key = std::tuple<std::string, std::string, bool, int64_t>;

TEST_CASE_METHOD(StoreFixture, "merge: parts read together are a map of their rows", "[store]") {
  const uint64_t seed = GENERATE(range(uint64_t{1}, uint64_t{9}));
  CAPTURE(seed);
  Random random(seed);
  std::map<Key, Row> model;
  std::vector<std::shared_ptr<const Part>> parts;
  const int64_t oldest_ms = random.one_in(3) ? 0 : kStartMs + kMinuteMs * 30;
  for (uint64_t p = random.below(7); p > 0; --p) {
    const auto rows = random_rows(random, Table::minute, 3, 10, 120);
    if (rows.empty()) continue;
    parts.push_back(write_and_open(rows, Table::minute, std::to_string(p) + ".part"));
    for (const Row& row : rows) {
      if (row.bucket_ms < oldest_ms) continue;
      const Key key{row.advertiser_id, row.ad_id, row.automated, row.bucket_ms};
      const auto [at, fresh] = model.try_emplace(key, row);
      if (!fresh) at->second.merge(row);
    }
  }
  std::vector<Row> want;
  for (const auto& [key, row] : model) want.push_back(row);
  const auto merged = read_merged(parts, oldest_ms);
  REQUIRE(merged);
  CHECK((*merged == want));
  // Written some keys at a time, it is a part of the same.
  const auto written = write_merged(
      files, {directory, "merged.part", static_cast<size_t>(random.below(200))}, parts, oldest_ms);
  if (!written) FAIL(written.error().text());
  CHECK(written->rows == want.size());
  CHECK(written->part.has_value() == !want.empty());
  if (want.empty()) return;
  const auto again = read_merged({open(*written->part)}, 0);
  REQUIRE(again);
  CHECK((*again == want));
}

TEST_CASE_METHOD(StoreFixture, "merge: a part written in pieces is about as small", "[store]") {
  Random random(5);
  const auto rows = random_rows(random, Table::minute, 5, 40, 4'000);
  const auto half = rows.begin() + static_cast<std::ptrdiff_t>(rows.size() / 2);
  const auto first = write_and_open({rows.begin(), half}, Table::minute, "1.part");
  const auto second = write_and_open({half, rows.end()}, Table::minute, "2.part");
  const auto whole = write(rows, Table::minute, "3.part");
  const auto merged = write_merged(files, {directory, "4.part", 300}, {first, second}, 0);
  REQUIRE(merged);
  CHECK(merged->part->rows == rows.size());
  CHECK(merged->part->bytes < whole.bytes + whole.bytes / 10);
}

TEST_CASE_METHOD(StoreFixture, "part: rows come key by key, as they were promised", "[store]") {
  Random random(6);
  const std::vector<Row> rows{random_row(random, "adv", "ad_1", kStartMs, 3),
                              random_row(random, "adv", "ad_2", kStartMs, 3)};
  const RowViews views(rows);
  const std::span<const RowView> first(&views[0], 1);
  const auto writer = [&views](std::vector<KeyDictionary::Key> keys) {
    return PartWriter(Table::minute, KeyDictionary::of_keys(keys), CountryOrder::of_rows(views));
  };
  auto other = writer({{"adv", "ad_1"}, {"adv", "ad_3"}});
  CHECK(other.add(views).error().code() == Errc::invalid);
  auto falling = writer({{"adv", "ad_1"}, {"adv", "ad_2"}});
  REQUIRE(falling.add(first));
  CHECK(falling.add(first).error().code() == Errc::invalid);
  CHECK(falling.write(files, directory, "5.part").error().code() == Errc::invalid);
  auto none = writer({{"adv", "ad_1"}});
  CHECK(none.write(files, directory, "6.part").error().code() == Errc::invalid);
}

TEST_CASE_METHOD(StoreFixture, "merge: parts of two tables are refused", "[store]") {
  Random random(1);
  const std::vector<Row> rows{random_row(random, "adv", "ad", 20'000 * kDayMs, 3)};
  const auto minute = write_and_open(rows, Table::minute, "1.part");
  const auto day = write_and_open(rows, Table::day, "2.part");
  const auto merged = read_merged({minute, day}, 0);
  REQUIRE_FALSE(merged);
  CHECK(merged.error().code() == Errc::invalid);
}

TEST_CASE_METHOD(StoreFixture, "merge: damage in one part is reported, not merged", "[store]") {
  Random random(2);
  std::vector<Row> rows;
  for (int64_t i = 0; i < 400; ++i) {
    rows.push_back(random_row(random, "adv", "ad", kStartMs + i * kMinuteMs, 5));
  }
  const auto sound = write_and_open(rows, Table::minute, "1.part");
  const auto damaged = write_and_open(rows, Table::minute, "2.part");
  auto file = files.open(directory + "/2.part", FileSystem::Open::write);
  REQUIRE(file);
  REQUIRE((*file)->write_at(40, "damage"));
  const auto merged = read_merged({sound, damaged}, 0);
  REQUIRE_FALSE(merged);
  CHECK(merged.error().code() == Errc::corrupt);
  CHECK(merged.error().path() == directory + "/2.part");
}

const std::vector<PartMeta> kSomeMetas = {
    PartMeta{"0001.part", Table::minute, kStartMs, kStartMs + kDayMs, 1'000, 5'000, 1},
    PartMeta{"0002.part", Table::day, 0, 0, 1, 300, UINT64_MAX},
    PartMeta{"x", Table::hour, -kDayMs, kEver, UINT64_MAX, UINT64_MAX, 0},
    PartMeta{"shared", Table::minute, 0, 0, 1, 300, 7, 16}};

TEST_CASE("part meta: it comes back, and what follows it stays", "[store]") {
  for (const PartMeta& meta : kSomeMetas) {
    std::string bytes;
    encode_part_meta(meta, bytes);
    bytes += "rest";
    ByteCursor cursor(bytes);
    const auto back = decode_part_meta(cursor);
    REQUIRE(back);
    CHECK((*back == meta));
    CHECK(cursor.rest() == "rest");
  }
}

TEST_CASE("part meta: cut, newer and impossible ones are refused", "[store]") {
  const auto refused = [](std::string_view content) {
    ByteCursor cursor(content);
    const auto meta = decode_part_meta(cursor);
    return !meta && meta.error().code() == Errc::corrupt;
  };
  const auto encoded = [](const PartMeta& meta) {
    std::string bytes;
    encode_part_meta(meta, bytes);
    return bytes;
  };
  std::string bytes = encoded(kSomeMetas[1]);
  std::vector<size_t> missed;
  for (size_t size = 0; size < bytes.size(); ++size) {
    if (!refused(std::string_view(bytes).substr(0, size))) missed.push_back(size);
  }
  CHECK(missed == std::vector<size_t>{});
  for (const char version : {'\0', '\2', '\3'}) {
    bytes[0] = version;
    CHECK(refused(bytes));
  }
  PartMeta beyond = kSomeMetas.back();
  beyond.position = UINT64_MAX - beyond.bytes + 1;
  CHECK(refused(encoded(beyond)));
  for (const char* name : {"", ".", "..", "../1.part", "a/b"}) {
    PartMeta meta = kSomeMetas[1];
    meta.name = name;
    CAPTURE(name);
    CHECK(refused(encoded(meta)));
  }
  PartMeta meta = kSomeMetas[0];
  meta.table = static_cast<Table>(kTables);
  CHECK(refused(encoded(meta)));
}

}  // namespace
}  // namespace clickmill::store
