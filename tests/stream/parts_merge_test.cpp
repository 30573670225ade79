#include <catch2/catch.hpp>
#include <set>
#include <string>

#include "simulation/sim_file_system.h"
#include "stream/head.h"
#include "stream/parts.h"

namespace clickmill::stream {
namespace {

constexpr int64_t kFirstMinute = 1'782'295'200'000;

/// The parts of one partition on a simulated disk, with minutes that follow each other.
class PartsLife {
 public:
  PartsLife() {
    REQUIRE(files_.create_directories("/store"));
    REQUIRE(parts_.open({}, 1));
  }
  /// Flushes that many minute rows, each with one click.
  void flush(size_t rows) {
    Head head{PartitionId(3)};
    for (size_t i = 0; i < rows; ++i) {
      Head::Click click;
      click.timestamp_ms = EventMs(kFirstMinute + static_cast<int64_t>(flushed_++) * kMinuteMs);
      click.ad_id = "ad";
      click.advertiser_id = "adv";
      click.ad_hash = MinuteRows::hash_of(click.ad_id);
      head.add(click);
    }
    head.freeze_before(INT64_MAX);
    const auto begun = parts_.begin_flush(head.frozen());
    REQUIRE(begun->run());
    parts_.take_flush(*begun);
  }
  /// Runs one merge that is due: whether there was one that went well.
  bool merge() {
    const auto due = parts_.due_merge(store::kAllTime);
    if (!due) return false;
    const Status done = due->run();
    if (done) {
      ignore(parts_.take_merge(*due), "how many rows went is nobody's question here");
    } else {
      parts_.merge_failed(*due, done.error());
    }
    return done.has_value();
  }
  void merge_all() {
    while (merge()) {
    }
  }
  size_t count(store::Table table) const {
    return (*parts_.snapshot())[static_cast<size_t>(table)].size();
  }
  /// Sum of the clicks of a table.
  uint64_t clicks(store::Table table) const {
    uint64_t clicks = 0;
    store::Scan scan;
    scan.to_ms = INT64_MAX;
    for (const auto& part : (*parts_.snapshot())[static_cast<size_t>(table)]) {
      REQUIRE(part->scan(scan, [&](const store::RowView& row) { clicks += row.clicks; }));
    }
    return clicks;
  }
  uint64_t flushed() const { return flushed_; }

  simulation::SimFileSystem files_{1};
  Parts parts_{PartitionId(3), files_, "/store"};

 private:
  uint64_t flushed_ = 0;
};

TEST_CASE("parts: a class with more parts than fit into one merge is merged all the same",
          "[stream]") {
  PartsLife life;
  // 73 × 7,300 rows are more than a merge may hold.
  for (int i = 0; i < 73; ++i) life.flush(7'300);
  REQUIRE(life.count(store::Table::minute) == 73);
  life.merge_all();
  for (const auto table : {store::Table::minute, store::Table::hour, store::Table::day}) {
    CHECK(life.count(table) < 16);
    CHECK(life.clicks(table) == life.flushed());
  }
  const auto levels = life.parts_.levels();
  for (size_t level = 0; level + 1 < Parts::kLevels; ++level) CHECK(levels[level] < 8 * 3);
}

TEST_CASE("parts: the oldest of a class are merged first, eight at a time", "[stream]") {
  PartsLife life;
  for (int i = 0; i < 20; ++i) life.flush(3'000);
  std::set<std::string> before;
  for (const auto& meta : life.parts_.metas()) before.insert(meta.name);
  REQUIRE(life.merge());
  // Eight of the minutes' gave one, which stands behind those that are left.
  const auto minutes = (*life.parts_.snapshot())[0];
  REQUIRE(minutes.size() == 13);
  CHECK(minutes.front()->meta().min_bucket_ms == kFirstMinute + 8 * 3'000 * kMinuteMs);
  CHECK(minutes.back()->meta().min_bucket_ms == kFirstMinute);
}

TEST_CASE("parts: a merge that failed is due again, without the part that is damaged", "[stream]") {
  PartsLife life;
  for (int i = 0; i < 9; ++i) life.flush(100);
  SECTION("a full disk passes") {
    const auto space = life.files_.space("/store");
    const auto names = life.files_.list("/store");
    life.files_.set_capacity_bytes(space->total_bytes - space->free_bytes);
    CHECK_FALSE(life.merge());
    CHECK_FALSE(life.merge());
    CHECK(life.files_.list("/store")->size() == names->size());
    life.files_.set_capacity_bytes(uint64_t{1} << 40);
    CHECK(life.merge());
    CHECK(life.count(store::Table::minute) == 2);
  }
  SECTION("a damaged part is left out") {
    const std::string damaged = (*life.parts_.snapshot())[0][2]->meta().name;
    // Its rows; what follows them was read when it was opened.
    for (uint64_t byte = 16; byte < 24; ++byte) life.files_.flip_bit("/store/" + damaged, byte);
    CHECK_FALSE(life.merge());
    CHECK(life.merge());
    const auto minutes = (*life.parts_.snapshot())[0];
    REQUIRE(minutes.size() == 2);
    CHECK(minutes[0]->meta().name == damaged);
    life.merge_all();
    CHECK(life.count(store::Table::hour) == 2);
  }
}

TEST_CASE("parts: of the files in store/ only parts are ours", "[stream]") {
  CHECK(slot_of_part("p7-12-minute.part") == state::Slot(PartitionId(7)));
  CHECK(slot_of_part("p65543-1-day.part") == state::Slot(PartitionId(7)).next());
  for (const char* name :
       {"lost+found", "p7-12-minute.part.bak", "p07-12-minute.part", "p7-12-year.part", "p7.part",
        "p-1-minute.part", "p7--minute.part", "", "p", "notes.part", "p99999999999-1-day.part"}) {
    CAPTURE(name);
    CHECK_FALSE(slot_of_part(name));
  }
}

}  // namespace
}  // namespace clickmill::stream
