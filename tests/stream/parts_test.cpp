#include "stream/parts.h"

#include <catch2/catch.hpp>

#include "base/strong.h"
#include "simulation/sim_file_system.h"

namespace clickmill::stream {
namespace {

std::vector<store::Row> minutes(int64_t from_ms, int64_t to_ms) {
  std::vector<store::Row> rows;
  for (int64_t at = from_ms; at < to_ms; at += kHourMs) {
    store::Row row;
    row.advertiser_id = "adv";
    row.ad_id = "ad";
    row.bucket_ms = at;
    row.counts.add(click::Device::mobile, click::kUnknownCountry);
    row.visitors.add(static_cast<uint64_t>(at));
    rows.push_back(std::move(row));
  }
  return rows;
}

/// A part of each table with a click of every hour.
Status flush(Parts& parts, int64_t from_ms, int64_t to_ms) {
  Head head(PartitionId(0));
  for (int64_t at = from_ms; at < to_ms; at += kHourMs) {
    Head::Click click;
    click.timestamp_ms = EventMs(at);
    click.ad_id = "ad";
    click.advertiser_id = "adv";
    click.ad_hash = MinuteRows::hash_of("ad");
    click.device = click::Device::mobile;
    head.add(click);
  }
  head.freeze_before(to_ms);
  const auto flush = parts.begin_flush(head.frozen());
  TRY(flush->run());
  parts.take_flush(*flush);
  return {};
}

size_t rows_in(const Parts& parts, store::Table table) {
  size_t rows = 0;
  for (const auto& part : (*parts.snapshot())[static_cast<size_t>(table)])
    rows += part->meta().rows;
  return rows;
}

/// Does what is due until nothing is; gives the rows deleted.
uint64_t settle(Parts& parts, const store::TableTimes& oldest_ms) {
  uint64_t deleted = 0;
  while (const auto merge = parts.due_merge(oldest_ms)) {
    REQUIRE(merge->run());
    deleted += parts.take_merge(*merge);
  }
  return deleted;
}

}  // namespace

TEST_CASE("parts: rows before a time go from their table alone, whole parts and half ones",
          "[stream]") {
  simulation::SimFileSystem files(1);
  REQUIRE(files.create_directories("/store"));
  Parts parts(PartitionId(0), files, "/store");
  REQUIRE(flush(parts, 0, kDayMs));
  REQUIRE(flush(parts, kDayMs, 3 * kDayMs));
  REQUIRE(flush(parts, 3 * kDayMs, 4 * kDayMs));
  CHECK(settle(parts, store::kAllTime) == 0);

  // One part goes, one is rewritten, one stays as it is.
  const auto kept = (*parts.snapshot())[0].back();
  CHECK(settle(parts, {2 * kDayMs, store::kAlways, store::kAlways}) == 48);
  CHECK(rows_in(parts, store::Table::minute) == 48);
  CHECK(rows_in(parts, store::Table::hour) == 96);
  CHECK(rows_in(parts, store::Table::day) == 4);
  CHECK((*parts.snapshot())[0].size() == 2);
  CHECK((*parts.snapshot())[0].front() == kept);
  for (const auto& part : (*parts.snapshot())[0]) CHECK(part->meta().min_bucket_ms >= 2 * kDayMs);
  CHECK(settle(parts, {2 * kDayMs, store::kAlways, store::kAlways}) == 0);

  // What comes late for a day that is gone goes too.
  REQUIRE(flush(parts, 0, 5 * kHourMs));
  CHECK(settle(parts, {2 * kDayMs, 3 * kDayMs, kDayMs}) == 5 + 72 + 5 + 1 + 1);
  CHECK(rows_in(parts, store::Table::minute) == 48);
  CHECK(rows_in(parts, store::Table::hour) == 24);
  CHECK(rows_in(parts, store::Table::day) == 3);
  for (const auto& path : parts.take_replaced()) REQUIRE(files.remove(path));
  const auto listed = files.list("/store");
  REQUIRE(listed);
  CHECK(listed->size() == parts.metas().size());
}

TEST_CASE("parts: a deletion beside a repair of the same part is tried again", "[stream]") {
  simulation::SimFileSystem files(1);
  REQUIRE(files.create_directories("/store"));
  Parts parts(PartitionId(0), files, "/store");
  REQUIRE(flush(parts, 0, 2 * kDayMs));
  const store::TableTimes oldest{kDayMs, store::kAlways, store::kAlways};
  const auto merge = parts.due_merge(oldest);
  REQUIRE(merge);
  CHECK(merge->deletes());
  CHECK(merge->table() == store::Table::minute);
  REQUIRE(merge->run());
  const auto rewrite = parts.begin_rewrite(nullptr);
  REQUIRE(rewrite->open());
  REQUIRE(rewrite->run(minutes(kDayMs, kDayMs + kHourMs)));
  REQUIRE(parts.take_rewrite(*rewrite));
  CHECK(parts.take_merge(*merge) == 0);
  CHECK(settle(parts, oldest) == 24);
  CHECK(rows_in(parts, store::Table::minute) == 24);
}

TEST_CASE("parts: small ones that wait for no merge, in shared files, don't pile up", "[stream]") {
  simulation::SimFileSystem files(1);
  REQUIRE(files.create_directories("/store"));
  for (const bool shared : {true, false}) {
    std::vector<store::PartMeta> metas;
    for (uint64_t i = 1; i <= 30; ++i) {
      const store::ShelfName name{i, store::Table::minute, 0, true, 0};
      metas.push_back({shared ? name.text() : part_name_of(PartitionId(0), i, store::Table::minute),
                       store::Table::minute, 0, 0, 1, 300, i, shared ? 16U : 0U});
    }
    Parts parts(PartitionId(0), files, "/store");
    REQUIRE(parts.open(metas, 31, true));
    CHECK(parts.pile_up() == !shared);
  }
}

}  // namespace clickmill::stream
