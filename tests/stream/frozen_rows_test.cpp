#include "stream/frozen_rows.h"

#include <catch2/catch.hpp>
#include <map>
#include <string>
#include <thread>
#include <tuple>

#include "base/random.h"
#include "store/merge.h"
#include "stream/head.h"

namespace clickmill::stream {
namespace {

constexpr int64_t kFirst = 1'782'259'200'000;  // 2026-06-24T00:00:00Z

using Key = std::tuple<std::string, std::string, int64_t>;  // advertiser, ad, bucket
struct Sum {
  store::Counts counts;
  sketch::Hll visitors;
};

/// Random clicks of some days in a head, and what they sum to.
struct Clicks {
  Head head{PartitionId(1)};
  std::map<Key, Sum> minutes;

  Clicks(uint64_t seed, size_t count) {
    Random random(seed);
    for (size_t i = 0; i < count; ++i) {
      const int64_t at = kFirst + static_cast<int64_t>(random.below(3 * kDayMs));
      const std::string ad = "ad_" + std::to_string(random.below(6));
      // Some ads move from one advertiser to another.
      const std::string advertiser = "adv_" + std::to_string(random.below(3));
      Head::Click click;
      click.timestamp_ms = EventMs(at);
      click.ad_id = ad;
      click.advertiser_id = advertiser;
      click.ad_hash = MinuteRows::hash_of(ad);
      click.device = static_cast<click::Device>(random.below(click::kDevices));
      click.country = random.one_in(3) ? click::country_of('D', 'E') : click::country_of('U', 'S');
      click.visitor = {Random(random.below(500)).next(), !random.one_in(5)};
      head.add(click);
      Sum& sum = minutes[{advertiser, ad, floor_to(at, kMinuteMs)}];
      sum.counts.add(click.device, click.country);
      if (click.visitor.known) sum.visitors.add(click.visitor.hash);
    }
  }
  std::map<Key, Sum> rows(store::Table table, const store::Scan& scan) const {
    std::map<Key, Sum> out;
    for (const auto& [key, row] : minutes) {
      const auto& [advertiser, ad, minute] = key;
      const int64_t bucket = floor_to(minute, store::bucket_ms(table));
      if (bucket < scan.from_ms || bucket >= scan.to_ms) continue;
      if (!scan.ad_id.empty() && ad != scan.ad_id) continue;
      if (!scan.advertiser_id.empty() && advertiser != scan.advertiser_id) continue;
      Sum& sum = out[{advertiser, ad, bucket}];
      sum.counts.merge(row.counts);
      sum.visitors.merge(row.visitors);
    }
    return out;
  }
};

store::Scan random_scan(Random& random, store::Table table, std::string& ad,
                        std::string& advertiser) {
  ad = random.one_in(2) ? "ad_" + std::to_string(random.below(7)) : "";
  advertiser = random.one_in(2) ? "adv_" + std::to_string(random.below(4)) : "";
  const int64_t unit = store::bucket_ms(table);
  store::Scan scan;
  scan.ad_id = ad;
  scan.advertiser_id = advertiser;
  const auto edge = [&] {
    return kFirst - kDayMs + floor_to(static_cast<int64_t>(random.below(5 * kDayMs)), unit);
  };
  scan.from_ms = edge();
  scan.to_ms = edge();
  if (scan.from_ms > scan.to_ms) std::swap(scan.from_ms, scan.to_ms);
  if (random.one_in(4)) scan.from_ms = 0;
  if (random.one_in(4)) scan.to_ms = std::numeric_limits<int64_t>::max();
  scan.countries = random.one_in(2);
  scan.visitors = random.one_in(2);
  scan.estimates = random.one_in(2);
  return scan;
}

void check_scan(const store::MemoryRows& rows, const Clicks& clicks, Random& random) {
  const auto table = static_cast<store::Table>(random.below(store::kTables));
  std::string ad;
  std::string advertiser;
  const store::Scan scan = random_scan(random, table, ad, advertiser);
  const auto want = clicks.rows(table, scan);
  size_t shown = 0;
  rows.scan(table, scan, [&](const store::RowView& view, const sketch::Hll* visitors) {
    const auto at =
        want.find({std::string(view.advertiser_id), std::string(view.ad_id), view.bucket_ms});
    if (at == want.end()) FAIL("a row that should not be there");
    ++shown;
    const auto& [counts, sketch] = at->second;
    REQUIRE(view.clicks == counts.clicks);
    REQUIRE(view.devices == counts.devices);
    if (scan.countries)
      REQUIRE(std::vector(view.countries, view.countries + view.countries_size) ==
              counts.countries);
    if (scan.estimates || scan.visitors) REQUIRE(view.unique_estimate == sketch.estimate());
    REQUIRE((visitors != nullptr) == scan.visitors);
    if (visitors != nullptr) REQUIRE(*visitors == sketch);
  });
  REQUIRE(shown == want.size());
}

void check_sum(const store::MemoryRows& rows, const Clicks& clicks, Random& random) {
  std::string ad;
  std::string advertiser;
  const store::Scan scan = random_scan(random, store::Table::minute, ad, advertiser);
  std::map<std::pair<std::string, std::string>, store::Counts> want;
  for (const auto& [key, row] : clicks.rows(store::Table::minute, scan))
    want[{std::get<0>(key), std::get<1>(key)}].merge(row.counts);
  size_t shown = 0;
  rows.sum(scan, [&](const store::AdSum& sum) {
    const auto at = want.find({std::string(sum.advertiser_id), std::string(sum.ad_id)});
    REQUIRE(at != want.end());
    REQUIRE(sum.clicks == at->second.clicks);
    REQUIRE(sum.devices == at->second.devices);
    ++shown;
  });
  REQUIRE(shown == want.size());
}

}  // namespace

TEST_CASE("frozen rows: scans and sums of every table are what a map of the clicks gives",
          "[stream]") {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    CAPTURE(seed);
    Clicks clicks(seed, seed * 60);
    clicks.head.freeze_before(std::numeric_limits<int64_t>::max());
    REQUIRE(clicks.head.frozen().size() == (seed == 0 ? 0 : 1));
    if (seed == 0) continue;
    Random random(seed);
    for (int i = 0; i < 60; ++i) {
      check_scan(*clicks.head.frozen().front(), clicks, random);
      check_sum(*clicks.head.frozen().front(), clicks, random);
    }
  }
}

TEST_CASE("frozen rows: many who ask at once are all told the same", "[stream]") {
  Clicks clicks(3, 2000);
  clicks.head.freeze_before(std::numeric_limits<int64_t>::max());
  const auto rows = clicks.head.frozen().front();
  const auto ask = [&rows](bool visitors) {
    std::vector<std::pair<int64_t, uint64_t>> seen;
    store::Scan scan;
    scan.to_ms = std::numeric_limits<int64_t>::max();
    scan.visitors = visitors;
    for (const auto table : {store::Table::day, store::Table::hour, store::Table::minute}) {
      rows->scan(table, scan, [&](const store::RowView& view, const sketch::Hll* sketch) {
        seen.emplace_back(view.bucket_ms,
                          view.clicks + (sketch != nullptr ? sketch->estimate() : 0));
      });
    }
    return seen;
  };
  std::vector<std::vector<std::pair<int64_t, uint64_t>>> answers(8);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < answers.size(); ++i)
    threads.emplace_back([&, i] { answers[i] = ask(i % 2 == 1); });
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < answers.size(); ++i) CHECK(answers[i] == ask(i % 2 == 1));
}

TEST_CASE("head: rows of several freezes become one part's rows", "[stream]") {
  Clicks clicks(4, 500);
  // A second freeze of the same minutes: rows of one key stand in both.
  clicks.head.freeze_before(kFirst + kDayMs);
  const Clicks again(4, 500);
  store::Scan all;
  all.to_ms = std::numeric_limits<int64_t>::max();
  all.countries = all.visitors = true;
  for (const store::Row& row : again.head.matching(all)) {
    if (row.bucket_ms >= kFirst + kDayMs || row.counts.clicks != 1) continue;
    Head::Click click;
    click.timestamp_ms = EventMs(row.bucket_ms);
    click.ad_id = row.ad_id;
    click.advertiser_id = row.advertiser_id;
    click.ad_hash = MinuteRows::hash_of(row.ad_id);
    clicks.head.add(click);
    clicks.minutes[{row.advertiser_id, row.ad_id, row.bucket_ms}].counts.add(click.device,
                                                                             click.country);
  }
  clicks.head.freeze_before(std::numeric_limits<int64_t>::max());
  REQUIRE(clicks.head.frozen().size() == 2);
  const auto rows = sorted_rows(clicks.head.frozen());
  REQUIRE(rows);
  const std::span<const store::RowView> views = *rows;
  REQUIRE(std::is_sorted(views.begin(), views.end(), store::view_less));
  REQUIRE(views.size() == clicks.minutes.size());
  for (const store::RowView& view : views) {
    const auto& want = clicks.minutes.at(
        {std::string(view.advertiser_id), std::string(view.ad_id), view.bucket_ms});
    REQUIRE(store::row_of(view).counts == want.counts);
    REQUIRE(view.visitors == want.visitors.serialize());
    REQUIRE(view.unique_estimate == want.visitors.estimate());
  }
}

TEST_CASE("head: a folded copy has an ad's clicks of the range in one row", "[stream]") {
  const Clicks clicks(5, 3000);
  Random random(5);
  for (int i = 0; i < 100; ++i) {
    std::string ad;
    std::string advertiser;
    store::Scan scan = random_scan(random, store::Table::minute, ad, advertiser);
    ad.clear();
    scan.ad_id = ad;
    scan.folded = true;
    std::map<std::pair<std::string, std::string>, std::pair<store::Counts, int64_t>> want;
    for (const auto& [key, row] : clicks.rows(store::Table::minute, scan)) {
      auto& [counts, newest] = want[{std::get<0>(key), std::get<1>(key)}];
      counts.merge(row.counts);
      newest = std::get<2>(key);
    }
    const auto rows = clicks.head.matching(scan);
    REQUIRE(rows.size() == want.size());
    for (const store::Row& row : rows) {
      const auto& [counts, newest] = want.at({row.advertiser_id, row.ad_id});
      REQUIRE(row.counts.clicks == counts.clicks);
      REQUIRE(row.counts.devices == counts.devices);
      if (scan.countries) REQUIRE(row.counts.countries == counts.countries);
      REQUIRE(row.bucket_ms == newest);
    }
  }
}

}  // namespace clickmill::stream
