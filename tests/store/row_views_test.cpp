#include "store/row_views.h"

#include <map>
#include <tuple>

#include "store/store_fixture.h"

namespace clickmill::store {
namespace {

using Key = std::tuple<std::string, std::string, bool, int64_t>;
using Model = std::map<Key, Row>;

void add_to(Model& model, const Row& row, int64_t unit) {
  const int64_t bucket = floor_to(row.bucket_ms, unit);
  const auto [at, added] =
      model.try_emplace({row.advertiser_id, row.ad_id, row.automated, bucket}, row);
  at->second.bucket_ms = bucket;
  if (!added) at->second.merge(row);
}

void check_same(std::span<const RowView> rows, const Model& model) {
  REQUIRE(rows.size() == model.size());
  auto want = model.begin();
  for (const RowView& view : rows) {
    REQUIRE((to_row(view) == want->second));
    REQUIRE(view.visitors == want->second.visitors.serialize());
    REQUIRE(view.unique_estimate == want->second.visitors.estimate());
    ++want;
  }
}

/// Rows of few keys, so that runs share many.
std::vector<Row> random_run(Random& random) {
  Model model;
  for (uint64_t i = random.below(60); i > 0; --i) {
    Row row = random_row(
        random, "adv" + std::to_string(random.below(3)), "ad" + std::to_string(random.below(4)),
        kStartMs + static_cast<int64_t>(random.below(200)) * kMinuteMs, 1 + random.below(4));
    row.automated = random.one_in(4);
    add_to(model, row, kMinuteMs);
  }
  std::vector<Row> rows;
  for (auto& [key, row] : model) rows.push_back(std::move(row));
  return rows;
}

}  // namespace

TEST_CASE("row views: runs become the rows that a map of them has", "[store]") {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    Model minutes;
    Model hours;
    RowViews views;
    std::vector<size_t> ends;
    for (uint64_t runs = random.below(10); runs > 0; --runs) {
      for (const Row& row : random_run(random)) {
        views.add(RowViews({&row, 1})[0]);
        add_to(minutes, row, kMinuteMs);
        add_to(hours, row, kHourMs);
      }
      ends.push_back(views.size());
    }
    REQUIRE(views.merge_runs(ends));
    const RowViews moved = std::move(views);
    check_same(moved, minutes);
    const auto summed = summed_to(moved, Table::hour);
    REQUIRE(summed);
    check_same(*summed, hours);
  }
}

TEST_CASE("row views: a sketch that can't be read is an error where two become one", "[store]") {
  RowView view;
  view.advertiser_id = "adv";
  view.ad_id = "ad";
  view.clicks = 1;
  view.visitors = "\xff not a sketch";
  RowViews views;
  views.add(view);
  views.add(view);
  const std::vector<size_t> ends{1, 2};
  CHECK(views.merge_runs(ends).error().code() == Errc::corrupt);
}

}  // namespace clickmill::store
