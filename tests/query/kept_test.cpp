#include "query/kept.h"

#include <catch2/catch.hpp>

#include "base/random.h"
#include "base/time_text.h"
#include "query/aggregate.h"
#include "query/memory_store.h"
#include "query/plan.h"
#include "query/zone_files.h"

namespace clickmill::query {
namespace {

using store::Table;
using store::TableTimes;

int64_t ms(std::string_view text) { return *parse_time_ms(text); }

// Minutes of two days, hours of ten, days for ever.
const TableTimes kDeleted{ms("2026-06-22T00:00:00Z"), ms("2026-06-14T00:00:00Z"), store::kAlways};

ClicksRequest clicks(const std::string& query) {
  return std::get<ClicksRequest>(parse_clicks(parse_query("ad_id=a&" + query), 200'000));
}
std::string range(int64_t from_ms, int64_t to_ms) {
  return format_time_ms(from_ms) + " " + format_time_ms(to_ms);
}
/// The range answered, or the refusal's text.
std::string fitted(const std::string& query, const TableTimes& deleted = kDeleted) {
  auto request = clicks(query);
  if (const auto error = fit_to_kept(request, deleted)) return error->field + ": " + error->detail;
  return range(request.from_ms, request.to_ms);
}
bool holds(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("kept: a plan leaves out what is deleted, or says that it can't", "[query]") {
  const auto plan_of = [](std::string_view from, std::string_view to, const TableTimes& deleted) {
    Plan plan;
    if (!append_stretch(ms(from), ms(to), deleted, plan)) plan.clear();
    return plan;
  };
  // Older days from hours, where days are kept shorter.
  const int64_t day = ms("2026-06-20T00:00:00Z");
  CHECK(plan_of("2026-06-18T00:00:00Z", "2026-06-22T00:00:00Z",
                {store::kAlways, store::kAlways, day}) ==
        Plan{{Table::hour, ms("2026-06-18T00:00:00Z"), day},
             {Table::day, day, ms("2026-06-22T00:00:00Z")}});
  CHECK(plan_of("2026-06-18T00:00:00Z", "2026-06-22T00:00:00Z", {store::kAlways, day, day}) ==
        Plan{{Table::minute, ms("2026-06-18T00:00:00Z"), day},
             {Table::day, day, ms("2026-06-22T00:00:00Z")}});
  CHECK(plan_of("2026-06-18T00:00:00Z", "2026-06-22T00:00:00Z", {day, day, day}).empty());
  CHECK(plan_of("2026-06-21T23:59:00Z", "2026-06-22T01:00:00Z", kDeleted).empty());
  CHECK(plan_of("2026-06-21T23:00:00Z", "2026-06-22T01:01:00Z", kDeleted).size() == 2);
}

TEST_CASE("kept: what a longer table has is answered from it, else refused by name", "[query]") {
  const std::string old_hour = "from=2026-06-20T10:00&to=2026-06-20T12:00";
  CHECK(fitted("granularity=1h&" + old_hour) == "2026-06-20T10:00:00Z 2026-06-20T12:00:00Z");
  CHECK(fitted("granularity=1d&" + old_hour) == "2026-06-20T00:00:00Z 2026-06-21T00:00:00Z");
  const std::string minutes = fitted("granularity=1m&" + old_hour);
  CHECK(holds(minutes, "from: the minutes before 2026-06-22T00:00:00Z"));
  CHECK(holds(minutes, "store.retention_days.minute"));
  CHECK(holds(minutes, "granularity=1h"));
  CHECK_FALSE(holds(minutes, "from then on"));
  CHECK(holds(fitted("granularity=1m&from=2026-06-20&to=2026-06-23"), "from then on"));
  CHECK(fitted("granularity=1m&from=2026-06-22&to=2026-06-23") ==
        "2026-06-22T00:00:00Z 2026-06-23T00:00:00Z");

  const std::string older = "from=2026-06-10T10:00&to=2026-06-10T12:00";
  CHECK(holds(fitted("granularity=1h&" + older), "the hours before 2026-06-14T00:00:00Z"));
  CHECK(holds(fitted("granularity=1h&" + older), "granularity=1d"));
  CHECK(fitted("granularity=1d&" + older) == "2026-06-10T00:00:00Z 2026-06-11T00:00:00Z");
  CHECK(fitted("granularity=1m&from=2001-01-01&to=2001-01-02", store::kAllTime) ==
        "2001-01-01T00:00:00Z 2001-01-02T00:00:00Z");
}

TEST_CASE("kept: days of a zone need its hours", "[query]") {
  if (!ZoneFiles::system().load("Asia/Kolkata")) {
    WARN("SKIPPED: there is no zone data");
    return;
  }
  CHECK(holds(fitted("granularity=1d&timezone=Asia/Tokyo&from=2026-06-10&to=2026-06-16"),
              "the hours before 2026-06-14T00:00:00Z"));
  CHECK(fitted("granularity=1d&timezone=Asia/Tokyo&from=2026-06-15&to=2026-06-16") ==
        "2026-06-14T15:00:00Z 2026-06-15T15:00:00Z");
  CHECK(holds(fitted("granularity=1d&timezone=Asia/Kolkata&from=2026-06-15&to=2026-06-16"),
              "the minutes before 2026-06-22T00:00:00Z"));
}

TEST_CASE("kept: totals are widened to what is left", "[query]") {
  const auto [query, want] = GENERATE(table<std::string, std::string>({
      {"from=2026-06-20T10:17&to=2026-06-23T09:05", "2026-06-20T10:00:00Z 2026-06-23T09:05:00Z"},
      {"from=2026-06-20T10:17&to=2026-06-20T10:18", "2026-06-20T10:00:00Z 2026-06-20T11:00:00Z"},
      {"from=2026-06-10T10:17&to=2026-06-23T09:05", "2026-06-10T00:00:00Z 2026-06-23T09:05:00Z"},
      {"from=2026-06-10T10:17&to=2026-06-10T11:00", "2026-06-10T00:00:00Z 2026-06-11T00:00:00Z"},
      {"from=2026-06-22T10:17&to=2026-06-23T09:05", "2026-06-22T10:17:00Z 2026-06-23T09:05:00Z"},
  }));
  CAPTURE(query);
  CHECK(fitted("granularity=total&" + query) == want);
  auto top = std::get<TopRequest>(parse_top(parse_query(query), 0));
  REQUIRE_FALSE(fit_to_kept(top, kDeleted));
  CHECK(range(top.from_ms, top.to_ms) == want);
}

TEST_CASE("kept: what no table has is refused", "[query]") {
  const TableTimes deleted{ms("2026-06-22T00:00:00Z"), ms("2026-06-14T00:00:00Z"),
                           ms("2026-01-01T00:00:00Z")};
  for (const std::string granularity : {"1m", "1h", "1d", "total"}) {
    CAPTURE(granularity);
    const std::string text =
        fitted("from=2025-06-01&to=2025-06-02&granularity=" + granularity, deleted);
    CHECK(text.rfind("from: the ", 0) == 0);
    CHECK(holds(text, "have been deleted (store.retention_days."));
  }
  CHECK(holds(fitted("from=2025-06-01&to=2026-06-20&granularity=total", deleted),
              "the days before 2026-01-01T00:00:00Z"));
  auto top = std::get<TopRequest>(parse_top(parse_query("from=2025-06-01&to=2026-06-20"), 0));
  const auto refused = fit_to_kept(top, deleted);
  REQUIRE(refused);
  CHECK(refused->field == "from");
}

TEST_CASE("kept: an answer from what is left is the answer from before", "[query]") {
  // The same clicks: once all tables whole, once without what is old.
  std::vector<testing::FlatClick> all;
  Random random(7);
  const int64_t begin = ms("2026-06-08T00:00:00Z");
  for (uint64_t i = 0; i < 3000; ++i) {
    all.push_back({"adv", "a", begin + static_cast<int64_t>(random.below(16 * 86'400'000)),
                   click::Device::mobile, click::kUnknownCountry, Random(i % 900).next()});
  }
  const auto version_of = [&](const TableTimes& deleted) {
    auto lists = std::make_shared<std::array<store::PartList, store::kTables>>();
    for (const Table table : {Table::minute, Table::hour, Table::day}) {
      auto rows = testing::rows_of(all, table);
      std::erase_if(rows, [&](const store::Row& row) {
        return row.bucket_ms < deleted[static_cast<size_t>(table)];
      });
      (*lists)[static_cast<size_t>(table)].push_back(
          std::make_shared<testing::MemoryPart>(std::string(store::to_string(table)), table, rows));
    }
    store::Version version;
    version.parts = lists;
    return version;
  };
  const store::Version whole = version_of(store::kAllTime);
  const store::Version left = version_of(kDeleted);
  for (const std::string query : {"granularity=1h&from=2026-06-14&to=2026-06-24",
                                  "granularity=1d&from=2026-06-08&to=2026-06-24",
                                  "granularity=total&from=2026-06-09T10:10&to=2026-06-23T20:20",
                                  "granularity=1m&from=2026-06-22&to=2026-06-24"}) {
    CAPTURE(query);
    auto request = clicks(query);
    REQUIRE_FALSE(fit_to_kept(request, kDeleted));
    const auto got = aggregate_clicks(request, std::span(&left, 1));
    request.deleted_before = store::kAllTime;
    const auto want = aggregate_clicks(request, std::span(&whole, 1));
    REQUIRE(got);
    REQUIRE(want);
    CHECK(render_clicks(request, *got) == render_clicks(request, *want));
    CHECK(got->total.clicks > 0);
  }
}

}  // namespace clickmill::query
