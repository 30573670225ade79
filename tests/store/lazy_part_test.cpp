#include "store/lazy_part.h"

#include <fmt/format.h>

#include "store/store_fixture.h"

namespace clickmill::store {
namespace {

TEST_CASE_METHOD(StoreFixture,
                 "lazy part: what is known of all parts has a bound, and each answers",
                 "[store][memory]") {
  // Of many ads with long names: their dictionaries are larger than what may be kept.
  constexpr size_t kParts = 120;
  constexpr size_t kAds = 2'000;
  std::vector<Row> rows(kAds);
  std::vector<std::shared_ptr<const Part>> parts;
  for (size_t p = 0; p < kParts; ++p) {
    for (size_t i = 0; i < kAds; ++i) {
      rows[i].advertiser_id = "adv";
      rows[i].ad_id = fmt::format("{:0>6}{:a>80}", i, p);
      rows[i].bucket_ms = kStartMs;
      rows[i].counts.clicks = rows[i].counts.devices[0] = p + 1;
    }
    const std::string name = fmt::format("p{}.part", p);
    parts.push_back(write_and_open(rows, Table::minute, name));
    // As a merge does: who has the part open reads on.
    REQUIRE(files.remove(directory + "/" + name));
  }
  CHECK(LazyPart::bytes_kept() > 8 << 20);
  for (int round = 0; round < 2; ++round) {
    for (size_t p = 0; p < kParts; ++p) {
      Scan all;
      all.to_ms = INT64_MAX;
      uint64_t clicks = 0;
      REQUIRE(parts[p]->sum(all, [&](const AdSum& sum) { clicks += sum.clicks; }));
      CHECK(clicks == kAds * (p + 1));
      CHECK(LazyPart::bytes_kept() <= 16 << 20);
    }
  }
}

TEST_CASE_METHOD(StoreFixture, "lazy part: what is known of a part goes with it",
                 "[store][memory]") {
  const size_t before = LazyPart::bytes_kept();
  Row row;
  row.advertiser_id = "adv";
  row.ad_id = "ad";
  row.bucket_ms = kStartMs;
  row.counts.clicks = row.counts.devices[0] = 1;
  auto part = write_and_open({row});
  CHECK(LazyPart::bytes_kept() > before);
  part.reset();
  CHECK(LazyPart::bytes_kept() == before);
}

}  // namespace
}  // namespace clickmill::store
