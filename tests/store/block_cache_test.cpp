#include "store/block_cache.h"

#include <catch2/catch.hpp>

#include "base/random.h"
#include "store/store_fixture.h"

namespace clickmill::store {
namespace {

BlockCache::Values some(size_t size) {
  return std::make_shared<const std::vector<uint32_t>>(size, uint32_t{7});
}

std::vector<Row> read(const Part& part, const Scan& scan) {
  std::vector<Row> rows;
  Status parsed;
  REQUIRE(part.scan(scan, [&](const RowView& view) {
    Row& row = rows.emplace_back();
    row.advertiser_id = view.advertiser_id;
    row.ad_id = view.ad_id;
    row.bucket_ms = view.bucket_ms;
    row.counts.clicks = view.clicks + (view.unique_estimate << 32);
    row.counts.devices = view.devices;
    row.counts.countries.assign(view.countries, view.countries + view.countries_size);
    if (parsed) parsed = row.visitors.merge_serialized(view.visitors);
  }));
  REQUIRE(parsed);
  return rows;
}

bool same(const std::vector<Row>& a, const std::vector<Row>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Row& x, const Row& y) {
    return same_key(x, y) && x.counts == y.counts && x.visitors == y.visitors;
  });
}

}  // namespace

TEST_CASE("block cache: what was not asked for lately goes, and never more is held", "[store]") {
  BlockCache cache(160'000);
  for (uint32_t block = 0; block < 1000; ++block) {
    cache.put(1, block, Region::counts, some(100));
    REQUIRE(cache.bytes() <= 160'000);
    // The first stays, being asked for all the time.
    REQUIRE(cache.find(1, 0, Region::counts) != nullptr);
  }
  CHECK(cache.find(1, 999, Region::counts) != nullptr);
  CHECK(cache.find(1, 1, Region::counts) == nullptr);
  CHECK(cache.find(1, 999, Region::estimates) == nullptr);
  CHECK(cache.find(2, 999, Region::counts) == nullptr);
  // One that would fill it alone is not kept.
  cache.put(3, 0, Region::counts, some(100'000));
  CHECK(cache.find(3, 0, Region::counts) == nullptr);
}

TEST_CASE_METHOD(StoreFixture, "block cache: scans and sums are the same from it", "[store]") {
  Random random(11);
  std::vector<Row> rows;
  for (int ad = 100; ad < 140; ++ad) {
    for (int64_t minute = 0; minute < 40; ++minute) {
      Row row;
      row.advertiser_id = "adv_" + std::to_string(ad / 10);
      row.ad_id = "ad_" + std::to_string(ad);
      row.bucket_ms = 1'782'295'200'000 + minute * 60'000;
      const uint64_t clicks = 1 + random.below(9);
      for (uint64_t i = 0; i < clicks; ++i) {
        row.counts.add(
            static_cast<click::Device>(random.below(click::kDevices)),
            random.one_in(2) ? click::country_of('D', 'E') : click::country_of('U', 'S'));
        row.visitors.add(random.next());
      }
      // Some numbers are larger than what is kept.
      if (ad == 120 && minute == 7) row.counts.devices[0] = row.counts.clicks = uint64_t{1} << 40;
      rows.push_back(std::move(row));
    }
  }
  const auto part = write_and_open(rows);
  for (int i = 0; i < 300; ++i) {
    Scan scan;
    const std::string ad = "ad_" + std::to_string(100 + random.below(41));
    if (random.one_in(2)) scan.ad_id = ad;
    scan.from_ms = rows.front().bucket_ms + static_cast<int64_t>(random.below(40)) * 60'000;
    scan.to_ms = scan.from_ms + static_cast<int64_t>(random.below(40)) * 60'000;
    scan.countries = random.one_in(2);
    scan.visitors = random.one_in(3);
    scan.estimates = random.one_in(2);
    const auto want = read(*part, scan);
    uint64_t sum = 0;
    REQUIRE(part->sum(scan, [&](const AdSum& ad_sum) { sum += ad_sum.clicks + ad_sum.rows; }));
    scan.keep = true;
    REQUIRE(same(read(*part, scan), want));
    REQUIRE(part->sum(scan, [&](const AdSum& ad_sum) { sum -= ad_sum.clicks + ad_sum.rows; }));
    REQUIRE(sum == 0);
  }
}

}  // namespace clickmill::store
