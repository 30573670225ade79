#include "store/shelf_file.h"

#include "store/merge.h"
#include "store/shelf.h"
#include "store/store_fixture.h"

namespace clickmill::store {
namespace {

const std::string kName = "shelf-3-minute-20260601-0.parts";

/// Three partitions' rows in one file.
class ShelfFixture : public StoreFixture {
 public:
  ShelfFixture() {
    Random random(5);
    auto writer = ShelfWriter::create(files, directory, kName);
    REQUIRE(writer);
    for (uint32_t i = 0; i < 3; ++i) {
      rows.emplace_back();
      while (rows.back().empty()) rows.back() = random_rows(random, Table::minute, 1, 9, 40);
      const auto part =
          write_and_open(rows.back(), Table::minute, "p" + std::to_string(i) + ".part");
      const auto added = add_merged({**writer, PartitionId(i)}, {part}, {});
      REQUIRE(added);
      REQUIRE(added->size() == 1);
      metas.push_back(added->front());
    }
    REQUIRE((*writer)->finish());
    bytes = *read_file(files, path());
    CHECK(bytes.size() == (*writer)->bytes());
  }
  std::string path() const { return directory + "/" + kName; }
  void put(std::string_view content) {
    auto file = files.open(path(), FileSystem::Open::truncate);
    REQUIRE(file);
    REQUIRE((*file)->write_at(0, content));
  }
  /// What reading that part in full says.
  Status read(size_t part) {
    auto opened = Part::open(files, directory, metas[part]);
    if (!opened) return std::move(opened).error();
    std::vector<Row> found;
    TRY((*opened)->scan(whole_scan(), [&](const RowView& view) { found.push_back(to_row(view)); }));
    CHECK((found == rows[part]));
    return {};
  }

  std::vector<std::vector<Row>> rows;
  std::vector<PartMeta> metas;
  std::string bytes;
};

TEST_CASE_METHOD(ShelfFixture, "shelf: parts in one file read as in files of their own",
                 "[store]") {
  for (size_t i = 0; i < metas.size(); ++i) REQUIRE(read(i));
  const auto listed = read_shelf(files, directory, kName);
  if (!listed) FAIL(listed.error().text());
  REQUIRE(listed->size() == metas.size());
  for (size_t i = 0; i < metas.size(); ++i) {
    CHECK(((*listed)[i].meta == metas[i]));
    CHECK((*listed)[i].slot == state::Slot(PartitionId(static_cast<uint32_t>(i))));
  }
}

TEST_CASE_METHOD(ShelfFixture, "shelf: every flipped byte is found, and is that part's alone",
                 "[store]") {
  Random random(6);
  for (size_t at = 0; at < bytes.size(); ++at) {
    CAPTURE(at);
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ static_cast<char>(1 + random.below(255)));
    put(damaged);
    bool of_a_part = false;
    for (size_t i = 0; i < metas.size(); ++i) {
      const bool mine = at >= metas[i].position && at < metas[i].position + metas[i].bytes;
      const auto done = read(i);
      REQUIRE(done.has_value() != mine);
      if (done) continue;
      of_a_part = true;
      REQUIRE(done.error().code() == Errc::corrupt);
      for (size_t k = 0; k < metas.size(); ++k)
        REQUIRE(tells_of(done.error(), metas[k]) == (k == i));
    }
    // The rest is for who has no list of parts.
    const auto listed = read_shelf(files, directory, kName);
    if (!of_a_part) REQUIRE_FALSE(listed);
    if (!listed) REQUIRE(listed.error().path() == path());
  }
}

TEST_CASE_METHOD(ShelfFixture, "shelf: a file of any other length is found", "[store]") {
  for (size_t size = 0; size < bytes.size(); size += 3) {
    put(std::string_view(bytes).substr(0, size));
    REQUIRE_FALSE(read_shelf(files, directory, kName));
    for (size_t i = 0; i < metas.size(); ++i) {
      const auto done = read(i);
      const bool whole = metas[i].position + metas[i].bytes <= size;
      REQUIRE(done.has_value() == whole);
      if (whole) continue;
      REQUIRE(done.error().code() == Errc::corrupt);
      REQUIRE(tells_of(done.error(), metas[i]));
    }
  }
}

TEST_CASE_METHOD(StoreFixture, "shelf: what is added is the merge of its rows, cut by key",
                 "[store]") {
  const uint64_t seed = GENERATE(range(uint64_t{1}, uint64_t{7}));
  CAPTURE(seed);
  Random random(seed);
  std::vector<std::shared_ptr<const Part>> parts;
  for (uint64_t p = 1 + random.below(5); p > 0; --p) {
    const auto rows = random_rows(random, Table::minute, 3, 10, 120);
    if (!rows.empty())
      parts.push_back(write_and_open(rows, Table::minute, std::to_string(p) + ".part"));
  }
  if (parts.empty()) return;
  auto writer = ShelfWriter::create(files, directory, kName);
  REQUIRE(writer);
  const TimeRange range{kStartMs + 20 * kMinuteMs, kStartMs + 90 * kMinuteMs};
  // What is taken back leaves no trace.
  REQUIRE(add_merged({**writer, PartitionId(1)}, parts, range));
  (*writer)->cut_to(0);
  const auto metas = add_merged({**writer, PartitionId(2), 50, 20}, parts, range);
  if (!metas) FAIL(metas.error().text());
  REQUIRE((*writer)->finish());
  auto want = read_merged(parts, range.from_ms).value();
  std::erase_if(want, [&](const Row& row) { return row.bucket_ms >= range.to_ms; });
  std::vector<std::shared_ptr<const Part>> written;
  for (const auto& meta : *metas) written.push_back(open(meta));
  if (want.size() > 100) CHECK(metas->size() > 1);
  CHECK((read_merged(written, 0).value() == want));
  const auto listed = read_shelf(files, directory, kName);
  REQUIRE(listed);
  CHECK(listed->size() == metas->size());
}

TEST_CASE("shelf: a name says what its file is, and nothing else is taken for one", "[store]") {
  for (const Table table : {Table::minute, Table::hour, Table::day}) {
    for (const bool closed : {false, true}) {
      const ShelfName name{12, table, 20'454 * kDayMs, closed, closed ? 0U : 7U};
      const auto read = ShelfName::parse(name.text());
      REQUIRE(read);
      CHECK(*read == name);
    }
  }
  CHECK(ShelfName{1, Table::hour, 0, true, 0}.text() == "shelf-1-hour-19700101-whole.parts");
  for (const char* text :
       {"", "shelf", "shelf-1-minute-20260101-0.part", "shelf-01-minute-20260101-0.parts",
        "shelf-1-minutes-20260101-0.parts", "shelf-1-minute-20261301-0.parts",
        "shelf-1-minute-20260231-0.parts", "shelf-1-minute-20260101-100.parts",
        "shelf-1-minute-20260101-x.parts", "shelf--minute-20260101-0.parts",
        "shelf-1-minute-20260101-0.parts.bak", "p7-12-minute.part", "shelf-1-minute-1-0.parts",
        "shelf-99999999999999999999-minute-20260101-0.parts"}) {
    CAPTURE(text);
    CHECK_FALSE(ShelfName::parse(text));
  }
}

TEST_CASE_METHOD(ShelfFixture, "shelf: a file goes with the last who needs it", "[store]") {
  const auto there = [&] { return files.exists(path()); };
  Shelf shelf(files, directory);
  CHECK(shelf.next_number() == 4);
  CHECK(shelf.unneeded({kName, "p0.part"}) == std::vector<std::string>{kName});
  std::vector<state::Slot> slots;
  for (uint32_t i = 0; i < 3; ++i) {
    slots.emplace_back(PartitionId(i));
    shelf.hold(slots[i], {metas[i]});
  }
  CHECK(shelf.unneeded({kName}).empty());
  CHECK(shelf.files() == 1);
  for (size_t i = 0; i < 3; ++i) {
    CHECK(shelf.owner_of(kName, metas[i].position) == slots[i]);
    CHECK(shelf.owner_of(kName, metas[i].position + metas[i].bytes - 1) == slots[i]);
  }
  CHECK_FALSE(shelf.owner_of(kName, 3));
  CHECK_FALSE(shelf.owner_of("shelf-9-minute-20260601-0.parts", 100));
  const auto open = shelf.open(metas[1]);
  REQUIRE(open);
  REQUIRE(shelf.release(slots[0], kName));
  REQUIRE(shelf.release(slots[0], kName));
  REQUIRE(there());
  SECTION("by releases") {
    shelf.release_all(slots[1]);
    REQUIRE(there());
    REQUIRE(shelf.release(slots[2], kName));
    CHECK_FALSE(there());
    // Who reads it still can.
    CHECK((rows_of(**open, whole_scan()) == rows[1]));
  }
  SECTION("unless somebody unknown may need it") {
    shelf.keep_all();
    shelf.release_all(slots[1]);
    REQUIRE(shelf.release(slots[2], kName));
    CHECK(there());
    CHECK(shelf.unneeded({kName}).empty());
    // A checkpoint of before the start can't name what was made since.
    const std::string later = ShelfName{shelf.next_number(), Table::minute, 0, false, 0}.text();
    auto writer = ShelfWriter::create(files, directory, later);
    REQUIRE(writer);
    const auto rest = add_merged({**writer, slots[1]}, {shelf.open(metas[1]).value()}, {});
    REQUIRE(rest);
    REQUIRE((*writer)->finish());
    shelf.hold(slots[1], *rest);
    REQUIRE(shelf.release(slots[1], later));
    CHECK_FALSE(files.exists(directory + "/" + later));
  }
}

}  // namespace
}  // namespace clickmill::store
