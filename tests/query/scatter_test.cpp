#include "query/scatter.h"

#include <catch2/catch.hpp>

#include "base/query_params.h"
#include "base/random.h"
#include "base/time_text.h"
#include "memory_store.h"
#include "query/aggregate.h"

namespace clickmill::query {
namespace {

using testing::FlatClick;
using testing::MemoryPart;

constexpr uint32_t kPartitions = 4;
const int64_t kFrom = *parse_time_ms("2026-03-27T09:00:00Z");
const int64_t kTo = kFrom + 4 * kDayMs;

std::vector<FlatClick> random_clicks(Random& random) {
  std::vector<FlatClick> out;
  for (uint64_t left = 50 + random.below(800); left > 0; --left) {
    FlatClick click;
    click.ad_id = "ad_" + std::to_string(random.below(12));
    // Some have moved from one advertiser to the other.
    const bool moved = click.ad_id < "ad_3" && random.one_in(2);
    click.advertiser_id = moved ? "adv_2" : "adv_1";
    click.at_ms = kFrom + static_cast<int64_t>(random.below(kTo - kFrom));
    click.device = static_cast<click::Device>(random.below(click::kDevices));
    click.country = random.one_in(2) ? click::country_of('D', 'E') : click::kUnknownCountry;
    click.visitor = Random(random.below(300)).next();
    click.automated = random.one_in(4);
    out.push_back(click);
  }
  return out;
}

/// One version a partition: what is older stands in parts, the rest in the head.
std::vector<store::Version> versions_of(const std::vector<FlatClick>& clicks, Random& random) {
  std::vector<store::Version> versions;
  for (uint32_t id = 0; id < kPartitions; ++id) {
    std::array<std::vector<FlatClick>, 3> groups;
    for (const FlatClick& click : clicks) {
      if (click::partition_of(click.ad_id, kPartitions) != PartitionId(id)) continue;
      const bool in_head = click.at_ms > kTo - 10 * kHourMs;
      groups[in_head ? 2 : random.below(2)].push_back(click);
    }
    auto parts = std::make_shared<std::array<store::PartList, store::kTables>>();
    for (size_t group = 0; group < 2; ++group) {
      for (const auto table : {store::Table::minute, store::Table::hour, store::Table::day}) {
        (*parts)[static_cast<size_t>(table)].push_back(std::make_shared<MemoryPart>(
            std::to_string(id) + std::to_string(group), table, rows_of(groups[group], table)));
      }
    }
    store::Version& version = versions.emplace_back();
    version.parts = parts;
    version.head = rows_of(groups[2], store::Table::minute);
    version.log_time = LogMs(kTo - static_cast<int64_t>(random.below(kHourMs)));
    version.low_water = ArrivalMs(version.log_time.value() - 5);
    version.applied = Offset(100 + id);
  }
  return versions;
}

/// The first two as they are, the others as another node gives them.
template <typename Request>
std::vector<store::Version> scattered(const Request& request,
                                      const std::vector<store::Version>& versions) {
  auto wanted = rows_wanted(request);
  REQUIRE(wanted);
  wanted->partitions = {PartitionId(2), PartitionId(3)};
  const auto asked = decode_rows_wanted(encode(*wanted));
  REQUIRE(asked);
  const auto bytes =
      encode_rows(*asked, kPartitions, store::kAllTime, std::span(versions).subspan(2));
  REQUIRE(bytes);
  auto given = decode_rows(*bytes, asked->partitions);
  REQUIRE(given);
  std::vector<store::Version> out(versions.begin(), versions.begin() + 2);
  for (auto& version : given->versions) out.push_back(std::move(version));
  return out;
}

TEST_CASE("scatter: an answer of two nodes is that of one that has everything", "[query]") {
  const uint64_t seed = GENERATE(range<uint64_t>(1, 13));
  CAPTURE(seed);
  Random random(seed);
  const auto clicks = random_clicks(random);
  const auto versions = versions_of(clicks, random);
  const auto pick = [&](std::vector<std::string> words) {
    return words[random.below(words.size())];
  };
  for (int i = 0; i < 40; ++i) {
    const int64_t begin = kFrom - kDayMs + static_cast<int64_t>(random.below(4 * kDayMs));
    const int64_t end = begin + 1 + static_cast<int64_t>(random.below(3 * kDayMs));
    const std::string range = "&from=" + std::to_string(begin) + "&to=" + std::to_string(end);
    const std::string filter = pick({"", "&device_type=tablet", "&country=DE"}) +
                               pick({"", "&automated=exclude", "&automated=only"});
    const std::string query =
        pick({"ad_id=ad_0", "ad_id=ad_5", "ad_id=ad_9", "advertiser_id=adv_1",
              "advertiser_id=adv_2", "advertiser_id=adv_3", "advertiser_id=*"}) +
        range + "&granularity=" + pick({"1m", "1h", "1d", "total"}) +
        "&timezone=" + pick({"UTC", "Asia/Kolkata"}) +
        (filter.empty() ? pick({"", "&breakdown=device_type", "&breakdown=country"}) : filter);
    CAPTURE(query);
    const auto read = parse_clicks(parse_query(query), 100'000);
    REQUIRE(std::holds_alternative<ClicksRequest>(read));
    const auto& request = std::get<ClicksRequest>(read);
    const auto whole = aggregate_clicks(request, versions);
    const auto parts = aggregate_clicks(request, scattered(request, versions));
    REQUIRE(whole);
    REQUIRE(parts);
    CHECK(render_clicks(request, *parts) == render_clicks(request, *whole));
    CHECK(parts->any_rows == whole->any_rows);

    const auto read_top =
        parse_top(parse_query("n=5" + range + filter + pick({"", "&advertiser_id=adv_2"})), kTo);
    REQUIRE(std::holds_alternative<TopRequest>(read_top));
    const auto& top = std::get<TopRequest>(read_top);
    const auto whole_top = aggregate_top(top, versions);
    const auto parts_top = aggregate_top(top, scattered(top, versions));
    REQUIRE(whole_top);
    REQUIRE(parts_top);
    CHECK(render_top(top, *parts_top) == render_top(top, *whole_top));
  }
}

TEST_CASE("scatter: what no node writes is refused", "[query]") {
  RowsWanted wanted;
  wanted.partitions = {PartitionId(1), PartitionId(3)};
  wanted.at_least[PartitionId(1)] = Offset(7);
  wanted.ad_id = "ad_1";
  wanted.plan = {{store::Table::minute, -5, 60'000}, {store::Table::day, 60'000, kDayMs}};
  const std::string bytes = encode(wanted);
  REQUIRE(decode_rows_wanted(bytes));
  CHECK(encode(*decode_rows_wanted(bytes)) == bytes);
  for (size_t length = 0; length < bytes.size(); ++length)
    CHECK_FALSE(decode_rows_wanted(bytes.substr(0, length)));
  const std::vector<store::Version> versions(2);
  const auto rows = encode_rows(wanted, kPartitions, store::kAllTime, versions);
  REQUIRE(rows);
  for (size_t length = 0; length < rows->size(); ++length)
    CHECK_FALSE(decode_rows(rows->substr(0, length), wanted.partitions));
  CHECK_FALSE(decode_rows(*rows, {PartitionId(1)}));
  Random random(1);
  for (int i = 0; i < 5'000; ++i) {
    std::string bad = bytes;
    bad[random.below(bad.size())] = static_cast<char>(random.next());
    if (const auto read = decode_rows_wanted(bad); read && encode(*read).empty()) FAIL("nothing");
    bad = *rows;
    bad[random.below(bad.size())] = static_cast<char>(random.next());
    if (const auto read = decode_rows(bad, wanted.partitions); read && read->versions.size() != 2)
      FAIL("not what was asked for");
  }
}

}  // namespace
}  // namespace clickmill::query
