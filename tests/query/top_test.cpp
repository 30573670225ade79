#include <catch2/catch.hpp>
#include <map>

#include "base/random.h"
#include "base/time_text.h"
#include "query/aggregate.h"
#include "query/memory_store.h"

namespace clickmill::query {
namespace {

using testing::FlatClick;
using testing::MemoryPart;
using testing::rows_of;

constexpr int64_t kBase = 1'782'259'200'000;  // 2026-06-24T00:00:00Z

std::string machines(uint64_t automated) {
  return automated == 0 ? "" : " a" + std::to_string(automated);
}

std::vector<std::string> shown(const TopAnswer& answer) {
  std::vector<std::string> out;
  for (const auto& item : answer.data) {
    out.push_back(item.ad_id + " " + item.advertiser_id + " " + std::to_string(item.clicks) +
                  machines(item.automated));
  }
  out.push_back("total " + std::to_string(answer.total_clicks) + machines(answer.total_automated));
  return out;
}

store::Version head_of(const std::vector<FlatClick>& clicks) {
  store::Version version;
  version.head = rows_of(clicks, store::Table::minute);
  return version;
}

std::vector<FlatClick> some(const std::string& advertiser, const std::string& ad, size_t count,
                            int64_t at_ms = kBase, click::Device device = click::Device::mobile,
                            click::Country country = click::kUnknownCountry) {
  return std::vector<FlatClick>(count, {advertiser, ad, at_ms, device, country, 1, false});
}

std::vector<FlatClick> all_of(std::initializer_list<std::vector<FlatClick>> lists) {
  std::vector<FlatClick> out;
  for (const auto& list : lists) out.insert(out.end(), list.begin(), list.end());
  return out;
}

TopRequest request_of(size_t n) {
  TopRequest request;
  request.n = n;
  request.from_ms = kBase;
  request.to_ms = kBase + kDayMs;
  return request;
}

using Texts = std::vector<std::string>;

TEST_CASE("top: most clicks first, ties by ad_id, the rest only in the total", "[query]") {
  const std::vector<store::Version> versions{
      head_of(all_of({some("v", "c", 2), some("v", "a", 2)})),
      head_of(
          all_of({some("v", "b", 5), some("v", "d", 2), some("v", "late", 9, kBase + kDayMs)}))};
  REQUIRE(shown(*aggregate_top(request_of(3), versions)) ==
          Texts{"b v 5", "a v 2", "c v 2", "total 11"});
  REQUIRE(shown(*aggregate_top(request_of(100), versions)).size() == 5);
  REQUIRE(shown(*aggregate_top(request_of(3), {})) == Texts{"total 0"});
}

TEST_CASE("top: an ad that moved is listed once, under the advertiser of its newest rows",
          "[query]") {
  const std::vector<store::Version> versions{head_of(
      all_of({some("new", "a", 1, kBase + kDayMs), some("old", "a", 3), some("x", "b", 2)}))};
  TopRequest request = request_of(5);
  request.to_ms += kDayMs;
  REQUIRE(shown(*aggregate_top(request, versions)) == Texts{"a new 4", "b x 2", "total 6"});
  request.advertiser_id = "old";
  REQUIRE(shown(*aggregate_top(request, versions)) == Texts{"a old 3", "total 3"});
}

TEST_CASE("top: who an ad that moved belongs to doesn't tell what is in parts already", "[query]") {
  const auto old_clicks = some("old", "a", 3, kBase + 9 * kHourMs);
  const auto new_clicks = some("new", "a", 1, kBase + 9 * kHourMs + 5 * kMinuteMs);
  const auto answer = [](const std::vector<FlatClick>& in_parts,
                         const std::vector<FlatClick>& in_head, const TopRequest& request) {
    std::vector<store::Version> versions{head_of(in_head)};
    auto lists = std::make_shared<std::array<store::PartList, store::kTables>>();
    for (const auto table : {store::Table::minute, store::Table::hour, store::Table::day}) {
      (*lists)[static_cast<size_t>(table)].push_back(std::make_shared<MemoryPart>(
          "part-" + std::string(store::to_string(table)), table, rows_of(in_parts, table)));
    }
    versions[0].parts = lists;
    return shown(*aggregate_top(request, versions));
  };
  TopRequest by_minute = request_of(1);
  by_minute.from_ms = kBase + 9 * kHourMs;
  by_minute.to_ms = by_minute.from_ms + 10 * kMinuteMs;
  // From minutes one can tell who came last; within one day or hour it is the later by name.
  for (const auto& [request, want] :
       {std::pair(by_minute, "a new 4"), std::pair(request_of(1), "a old 4")}) {
    CAPTURE(want);
    CHECK(answer(old_clicks, new_clicks, request).front() == want);
    CHECK(answer(new_clicks, old_clicks, request).front() == want);
    CHECK(answer(all_of({old_clicks, new_clicks}), {}, request).front() == want);
    CHECK(answer({}, all_of({old_clicks, new_clicks}), request).front() == want);
  }
}

TEST_CASE("top: a stored code that is no country counts as ZZ", "[query]") {
  const auto from = [](const std::string& ad, size_t count, click::Country country) {
    return some("v", ad, count, kBase, click::Device::mobile, country);
  };
  const std::vector<store::Version> versions{head_of(
      all_of({from("a", 2, click::country_of('X', 'X')), from("a", 3, click::kUnknownCountry),
              from("a", 1, click::country_of('E', 'U')), from("b", 4, click::kUnknownCountry),
              from("b", 7, click::country_of('D', 'E'))}))};
  TopRequest request = request_of(5);
  request.country = click::kUnknownCountry;
  REQUIRE(shown(*aggregate_top(request, versions)) == Texts{"a v 6", "b v 4", "total 10"});
}

TEST_CASE("top: random filters equal a naive count", "[query]") {
  const uint64_t seed = GENERATE(range<uint64_t>(1, 9));
  CAPTURE(seed);
  Random random(seed);
  std::vector<FlatClick> clicks;
  const std::array countries{click::country_of('D', 'E'), click::country_of('U', 'S')};
  for (int i = 0; i < 400; ++i) {
    const uint64_t ad = random.below(12);
    clicks.push_back({"v" + std::to_string(ad % 3), "ad" + std::to_string(ad),
                      kBase + static_cast<int64_t>(random.below(3 * kDayMs)),
                      static_cast<click::Device>(random.below(4)), countries[random.below(2)], 1,
                      random.one_in(3) || ad == 5});
  }
  std::vector<FlatClick> head;
  std::vector<FlatClick> stored;
  for (const auto& click : clicks) (random.one_in(3) ? head : stored).push_back(click);
  std::vector<store::Version> versions{head_of(head)};
  auto lists = std::make_shared<std::array<store::PartList, store::kTables>>();
  for (const auto table : {store::Table::minute, store::Table::hour, store::Table::day}) {
    (*lists)[static_cast<size_t>(table)].push_back(std::make_shared<MemoryPart>(
        std::string(store::to_string(table)), table, rows_of(stored, table)));
  }
  versions[0].parts = lists;

  for (int i = 0; i < 20; ++i) {
    TopRequest request = request_of(1 + random.below(12));
    request.from_ms = kBase + kMinuteMs * static_cast<int64_t>(random.below(2 * 1440));
    request.to_ms = request.from_ms + kMinuteMs * static_cast<int64_t>(1 + random.below(2000));
    if (random.one_in(2)) request.advertiser_id = "v1";
    if (random.one_in(3)) {
      request.device = click::Device::tablet;
    } else if (random.one_in(2)) {
      request.country = countries[0];
    }
    request.automated = static_cast<store::Automated>(random.below(3));
    struct Count {
      std::string advertiser_id;
      uint64_t clicks = 0;
      uint64_t automated = 0;
    };
    std::map<std::string, Count> counts;
    Count total;
    for (const auto& click : clicks) {
      if (click.at_ms < request.from_ms || click.at_ms >= request.to_ms) continue;
      if (!request.advertiser_id.empty() && click.advertiser_id != "v1") continue;
      if (request.device && click.device != *request.device) continue;
      if (request.country && click.country != *request.country) continue;
      counts[click.ad_id].advertiser_id = click.advertiser_id;
      for (Count* count : {&counts[click.ad_id], &total}) {
        if (store::takes(request.automated, click.automated)) ++count->clicks;
        if (click.automated) ++count->automated;
      }
    }
    std::erase_if(counts, [](const auto& item) { return item.second.clicks == 0; });
    Texts expected;
    while (expected.size() < request.n && !counts.empty()) {
      auto best = counts.begin();
      for (auto at = counts.begin(); at != counts.end(); ++at) {
        if (at->second.clicks > best->second.clicks) best = at;
      }
      expected.push_back(best->first + " " + best->second.advertiser_id + " " +
                         std::to_string(best->second.clicks) + machines(best->second.automated));
      counts.erase(best);
    }
    expected.push_back("total " + std::to_string(total.clicks) + machines(total.automated));
    REQUIRE(shown(*aggregate_top(request, versions)) == expected);
  }
}

}  // namespace
}  // namespace clickmill::query
