#include <catch2/catch.hpp>
#include <set>
#include <string>

#include "base/random.h"
#include "stream/head.h"
#include "stream/stream_fixture.h"

namespace clickmill::stream {
namespace {

struct Filled {
  Head head{state::Slot(PartitionId(1))};
  size_t rows = 0;

  /// Clicks of 16 ads, as one partition of 64 has of 1,000.
  void add(int64_t at_ms, uint64_t ad, uint64_t visitor) {
    const std::string ad_id = "ad_of_some_length_" + std::to_string(ad);
    Head::Click click;
    click.timestamp_ms = EventMs(at_ms);
    click.ad_id = ad_id;
    click.advertiser_id = "advertiser";
    click.ad_hash = MinuteRows::hash_of(ad_id);
    click.visitor = {Random(visitor).next(), true};
    head.add(click);
  }
  uint64_t bytes() const { return head.bytes_before(INT64_MAX) + head.frozen_bytes(0); }
};

TEST_CASE("head memory: an import's rows, one to a minute, take a quarter of a KiB each",
          "[stream][memory]") {
  Filled filled;
  Random random(1);
  std::set<std::pair<int64_t, uint64_t>> rows;
  for (uint64_t i = 0; i < 5'000; ++i) {
    const auto at = static_cast<int64_t>(random.below(7 * kDayMs));
    const uint64_t ad = random.below(16);
    rows.emplace(floor_to(kStart + at, kMinuteMs), ad);
    filled.add(kStart + at, ad, i);
  }
  REQUIRE(filled.head.row_count() == rows.size());
  CHECK(filled.bytes() / rows.size() > 200);
  CHECK(filled.bytes() / rows.size() < 280);
}

TEST_CASE("head memory: what many visitors of a row take is counted", "[stream][memory]") {
  Filled filled;
  for (uint64_t i = 0; i < 900; ++i) filled.add(kStart, 0, i);
  const uint64_t sparse = filled.bytes();
  CHECK(sparse > 900 * sizeof(sketch::Entry));
  for (uint64_t i = 900; i < 20'000; ++i) filled.add(kStart, 0, i);
  CHECK(filled.bytes() > sizeof(sketch::Registers));
  CHECK(filled.bytes() < sizeof(sketch::Registers) + 2048);
}

TEST_CASE("head memory: what is frozen takes its bytes along, and nothing is left",
          "[stream][memory]") {
  Filled filled;
  Random random(2);
  for (uint64_t i = 0; i < 2'000; ++i)
    filled.add(kStart + static_cast<int64_t>(random.below(kHourMs)), random.below(16), i);
  const uint64_t all = filled.bytes();
  const int64_t middle = kStart + kHourMs / 2;
  const uint64_t early = filled.head.bytes_before(middle);
  CHECK(early > 0);
  CHECK(early < all);
  filled.head.freeze_before(middle);
  CHECK(filled.head.frozen_bytes(0) == early);
  CHECK(filled.bytes() == all);
  filled.head.freeze_before(INT64_MAX);
  CHECK(filled.head.frozen_bytes(0) == all);
  CHECK(filled.head.bytes_before(INT64_MAX) == 0);
  filled.head.drop_frozen(2);
  CHECK(filled.bytes() == 0);
  CHECK(filled.head.row_count() == 0);
}

TEST_CASE("head memory: names outlive the rows that first had them", "[stream][memory]") {
  Filled filled;
  filled.add(kStart, 1, 1);
  filled.add(kStart + kMinuteMs, 1, 2);
  filled.head.freeze_before(kStart + kMinuteMs);
  filled.head.drop_frozen(1);
  filled.add(kStart + kMinuteMs, 2, 3);
  store::Scan all;
  all.to_ms = INT64_MAX;
  std::set<std::string> ads;
  for (const auto& row : filled.head.matching(all)) ads.insert(row.ad_id);
  CHECK(ads == std::set<std::string>{"ad_of_some_length_1", "ad_of_some_length_2"});
}

TEST_CASE("head memory: closed rows are flushed for their bytes as well as their number",
          "[stream][memory]") {
  Pipeline::Options options;
  options.flush_bytes = 64 << 10;
  Stream stream(1, options);
  stream.settings(kStart, {.nodes = {"n1"}});
  // A few rows of many visitors each: nothing that 1,024 rows would ever stop.
  for (int row = 0; row < 40; ++row) {
    std::vector<TestClick> clicks(1'500);
    for (size_t i = 0; i < clicks.size(); ++i) {
      TestClick& click = clicks[i];
      click.click_id = std::to_string(row) + "-" + std::to_string(i);
      click.timestamp_ms = kStart - (row + 100) * kMinuteMs;
      click.received_ms = kStart;
      click.flags = click::kBackfill;
      click.user_id = click.click_id;
    }
    stream.clicks(kStart, std::move(clicks));
    if (row % 10 == 9) stream.checkpoint();
  }
  CHECK(stream.pipeline().head_memory_bytes() < 128 << 10);
  CHECK_FALSE(stream.pipeline().part_metas().empty());
  CHECK(stream.wrong() == "");
}

}  // namespace
}  // namespace clickmill::stream
