#include "query/aggregate.h"

#include <catch2/catch.hpp>
#include <set>

#include "base/query_params.h"
#include "base/random.h"
#include "base/time_text.h"
#include "query/memory_store.h"
#include "query/plan.h"
#include "query/zone_files.h"
#include "sketch/estimate.h"
#include "store/store_fixture.h"

namespace clickmill::query {
namespace {

using testing::FlatClick;
using testing::MemoryPart;
using testing::rows_of;

constexpr uint32_t kPartitions = 2;

int64_t ms(std::string_view text) { return *parse_time_ms(text); }

ClicksRequest request_of(const std::string& query) {
  const auto parsed = parse_clicks(parse_query(query), 200'000);
  if (const auto* error = std::get_if<ParamError>(&parsed)) FAIL(error->field + error->detail);
  return std::get<ClicksRequest>(parsed);
}

/// The same clicks as the stream would leave them: each in the head, or in one part of
/// every table. Every other part is a real file.
class Store {
 public:
  void add(const std::vector<FlatClick>& clicks, Random& random, uint64_t parts) {
    for (uint32_t p = 0; p < kPartitions; ++p) {
      std::vector<FlatClick> head;
      std::array<std::vector<std::vector<FlatClick>>, store::kTables> tables;
      for (auto& table : tables) table.resize(parts);
      for (const FlatClick& click : clicks) {
        if (click::partition_of(click.ad_id, kPartitions).value() != p) continue;
        if (random.one_in(4)) {
          head.push_back(click);
        } else {
          for (auto& table : tables) table[random.below(parts)].push_back(click);
        }
      }
      versions_[p].head = rows_of(head, store::Table::minute);
      auto lists = std::make_shared<std::array<store::PartList, store::kTables>>();
      for (size_t t = 0; t < store::kTables; ++t) {
        for (const auto& part : tables[t]) {
          if (part.empty()) continue;
          const auto table = static_cast<store::Table>(t);
          const std::string name = std::to_string(p) + "-" + std::to_string(names_++);
          const auto rows = rows_of(part, table);
          (*lists)[t].push_back(names_ % 2 == 0 ? files_.write_and_open(rows, table, name)
                                                : std::make_shared<MemoryPart>(name, table, rows));
        }
      }
      versions_[p].parts = lists;
    }
  }
  std::vector<store::Version>& versions() { return versions_; }

 private:
  store::StoreFixture files_;
  std::vector<store::Version> versions_{kPartitions};
  uint64_t names_ = 0;
};

constexpr click::Country kNoCountry = click::country_of('E', 'U');

/// Counts by looking at every click for every bucket.
class Model {
 public:
  Model(const ClicksRequest& request, const std::vector<FlatClick>& clicks)
      : request_(request), clicks_(clicks) {}

  Bucket count(int64_t from_ms, int64_t to_ms) const {
    Bucket bucket;
    bucket.start_ms = from_ms;
    sketch::Hll visitors;
    for (const FlatClick& click : clicks_) {
      if (click.at_ms < from_ms || click.at_ms >= to_ms || !wanted(click)) continue;
      if (click.automated) ++bucket.automated;
      if (request_.automated == store::Automated::exclude && click.automated) continue;
      if (request_.automated == store::Automated::only && !click.automated) continue;
      ++bucket.clicks;
      ++bucket.devices[static_cast<size_t>(click.device)];
      ++bucket.countries[country_of(click)];
      visitors.add(click.visitor);
    }
    bucket.unique_users = std::min(visitors.estimate(), bucket.clicks);
    return bucket;
  }

 private:
  bool wanted(const FlatClick& click) const {
    return (request_.ad_id.empty() || request_.ad_id == click.ad_id) &&
           (request_.advertiser_id.empty() || request_.advertiser_id == click.advertiser_id) &&
           (!request_.device || *request_.device == click.device) &&
           (!request_.country || *request_.country == country_of(click));
  }
  /// Rows of older versions may name what is no country.
  static click::Country country_of(const FlatClick& click) {
    return click.country == kNoCountry ? click::kUnknownCountry : click.country;
  }
  const ClicksRequest& request_;
  const std::vector<FlatClick>& clicks_;
};

std::string shown(const ClicksRequest& request, const Bucket& bucket) {
  std::string out = format_time_ms(bucket.start_ms) + " " + std::to_string(bucket.clicks) + " a" +
                    std::to_string(bucket.automated);
  if (!request.device && !request.country) out += " u" + std::to_string(bucket.unique_users);
  if (request.breakdown == Breakdown::device_type) {
    for (const uint64_t clicks : bucket.devices) out += " " + std::to_string(clicks);
  }
  if (request.breakdown == Breakdown::country) {
    for (const auto& [country, clicks] : bucket.countries) {
      out += " " + click::to_string_country(country) + std::to_string(clicks);
    }
  }
  return out;
}

std::vector<std::string> shown(const ClicksRequest& request, const ClicksAnswer& answer) {
  std::vector<std::string> out;
  for (const Bucket& bucket : answer.data) out.push_back(shown(request, bucket));
  out.push_back(shown(request, answer.total));
  return out;
}

std::vector<std::string> expected(const ClicksRequest& request,
                                  const std::vector<FlatClick>& clicks) {
  const Model model(request, clicks);
  const auto starts =
      bucket_starts(*request.zone, request.granularity, request.from_ms, request.to_ms);
  std::vector<std::string> out;
  for (size_t i = 0; i < starts.size(); ++i) {
    const int64_t end = i + 1 < starts.size() ? starts[i + 1] : request.to_ms;
    const Bucket bucket = model.count(starts[i], end);
    if (request.fill_zero || bucket.clicks > 0 || request.granularity == Granularity::total) {
      out.push_back(shown(request, bucket));
    }
  }
  out.push_back(shown(request, model.count(request.from_ms, request.to_ms)));
  return out;
}

std::vector<FlatClick> random_clicks(Random& random, int64_t from_ms, int64_t to_ms, size_t count) {
  const std::array<click::Country, 4> countries{
      click::country_of('D', 'E'), click::country_of('U', 'S'), click::kUnknownCountry, kNoCountry};
  std::vector<FlatClick> out;
  for (size_t i = 0; i < count; ++i) {
    FlatClick click;
    click.ad_id = "ad_" + std::to_string(random.below(4));
    // ad_0 has moved from one advertiser to the other.
    click.advertiser_id = click.ad_id == "ad_0" && random.one_in(2) ? "adv_2" : "adv_1";
    click.at_ms =
        from_ms + static_cast<int64_t>(random.below(static_cast<uint64_t>(to_ms - from_ms)));
    if (random.one_in(3)) click.at_ms = floor_to(click.at_ms, kHourMs);
    click.device = static_cast<click::Device>(random.below(click::kDevices));
    click.country = countries[random.below(countries.size())];
    click.visitor = Random(random.below(count)).next();
    click.automated = random.one_in(3);
    out.push_back(click);
  }
  return out;
}

std::string random_query(Random& random, int64_t from_ms, int64_t to_ms,
                         const std::vector<std::string>& zones) {
  const auto pick = [&](std::vector<std::string> words) {
    return words[random.below(words.size())];
  };
  const auto width = static_cast<uint64_t>(to_ms - from_ms);
  int64_t begin = from_ms + static_cast<int64_t>(random.below(width));
  int64_t end = begin + 1 + static_cast<int64_t>(random.below(width / (random.one_in(2) ? 20 : 1)));
  if (random.one_in(4)) {
    begin = floor_to(begin, kHourMs);
    end = begin + kHourMs * static_cast<int64_t>(1 + random.below(50));
  }
  return pick({"ad_id=ad_0", "ad_id=ad_1", "advertiser_id=adv_1", "advertiser_id=adv_2",
               "advertiser_id=*"}) +
         "&from=" + std::to_string(begin) + "&to=" + std::to_string(end) +
         "&granularity=" + pick({"1h", "1h", "1d", "1d", "total", "1m"}) +
         "&timezone=" + pick(zones) +
         pick({"", "&breakdown=device_type", "&breakdown=country", "&device_type=tablet",
               "&country=DE", "&breakdown=country&country=ZZ",
               "&breakdown=device_type&device_type=mobile"}) +
         pick({"", "&automated=include", "&automated=exclude", "&automated=only"}) +
         pick({"", "&fill=none"});
}

std::vector<std::string> present_zones() {
  std::vector<std::string> out{"UTC"};
  for (const std::string name :
       {"Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "America/St_Johns"}) {
    if (ZoneFiles::system().load(name)) {
      out.push_back(name);
    } else {
      WARN("SKIPPED: there is no " << name << " in /usr/share/zoneinfo");
    }
  }
  return out;
}

TEST_CASE("aggregate: random requests equal a naive count over the flat clicks", "[query]") {
  const auto zones = present_zones();
  const uint64_t seed = GENERATE(range<uint64_t>(1, 13));
  CAPTURE(seed);
  Random random(seed);
  const int64_t middle = random.one_in(2) ? ms("2026-03-29T01:00:00Z") : ms("2026-04-04T15:00:00Z");
  const int64_t from = middle - 40 * kHourMs;
  const int64_t to = middle + 40 * kHourMs;
  const auto clicks = random_clicks(random, from, to, 50 + random.below(600));
  Store store;
  store.add(clicks, random, 1 + random.below(4));
  for (int i = 0; i < 25; ++i) {
    const std::string query = random_query(random, from, to, zones);
    CAPTURE(query);
    const auto request = request_of(query);
    const auto answer = aggregate_clicks(request, store.versions());
    REQUIRE(answer);
    REQUIRE(shown(request, *answer) == expected(request, clicks));
    REQUIRE(answer->any_rows);
  }
}

TEST_CASE("aggregate: people alone have their own visitors, and all clicks add up", "[query]") {
  const int64_t at = ms("2026-06-24T10:00:00Z");
  const auto click = [&](uint64_t visitor, bool automated) {
    return FlatClick{
        "adv_1",  "ad_1", at, click::Device::other, click::kUnknownCountry, Random(visitor).next(),
        automated};
  };
  // One address and agent may stand for both: a script in an office, say.
  store::Version version;
  version.head = rows_of({click(1, false), click(2, false), click(2, true), click(3, true)},
                         store::Table::minute);
  const auto ask = [&](const std::string& automated) {
    const auto request = request_of(
        "ad_id=ad_1&from=2026-06-24T10:00:00Z&to=2026-06-24T10:01:00Z&automated=" + automated);
    const auto answer = aggregate_clicks(request, std::span(&version, 1));
    REQUIRE(answer);
    const Bucket& total = answer->total;
    return std::vector<uint64_t>{total.clicks, total.unique_users, total.automated};
  };
  CHECK(ask("include") == std::vector<uint64_t>{4, 3, 2});
  CHECK(ask("exclude") == std::vector<uint64_t>{2, 2, 2});
  CHECK(ask("only") == std::vector<uint64_t>{2, 2, 2});
}

TEST_CASE("aggregate: many visitors in several rows are a union, not a sum", "[query]") {
  Random random(3);
  std::vector<FlatClick> clicks;
  for (uint64_t i = 0; i < 6000; ++i) {
    clicks.push_back({"adv_1", "ad_1",
                      ms("2026-06-24T00:00:00Z") + static_cast<int64_t>(i) * 40'000,
                      click::Device::mobile, click::kUnknownCountry, Random(i % 2500).next()});
  }
  Store store;
  store.add(clicks, random, 3);
  for (const std::string granularity : {"1m", "1h", "1d", "total"}) {
    CAPTURE(granularity);
    const auto request = request_of(
        "ad_id=ad_1&from=2026-06-24T00:00:00Z&to=2026-06-26T12:30:00Z&granularity=" + granularity);
    const auto answer = aggregate_clicks(request, store.versions());
    REQUIRE(answer);
    REQUIRE(shown(request, *answer) == expected(request, clicks));
  }
}

TEST_CASE("aggregate: uniques never fall, and a whole is never below its part", "[query]") {
  // The set turns dense on the way; whole is read as one row, as many and as a union.
  const int64_t begin = ms("2026-06-24T00:00:00Z");
  std::vector<FlatClick> clicks;
  std::map<std::string, uint64_t> before;
  for (uint64_t i = 0; i < 1400; ++i) {
    const int64_t at = begin + (i % 9 == 0 ? 26 * kHourMs : i % 7 == 0 ? 2 * kHourMs : 0);
    clicks.push_back(
        {"adv_1", "ad_1", at, click::Device::mobile, click::kUnknownCountry, Random(i).next()});
    if (i < 900 || i % 5 != 0) continue;
    store::Version version;
    version.head = rows_of(clicks, store::Table::minute);
    uint64_t part = 0;
    for (const std::string granularity : {"1m", "1h", "1d", "total"}) {
      const auto request =
          request_of("ad_id=ad_1&from=2026-06-24T00:00:00Z&to=2026-06-25T03:00:00Z&granularity=" +
                     granularity);
      const auto answer = aggregate_clicks(request, std::span(&version, 1));
      REQUIRE(answer);
      for (const Bucket& bucket : answer->data) {
        REQUIRE(bucket.unique_users <= bucket.clicks);
        REQUIRE(bucket.unique_users <= answer->total.unique_users);
      }
      REQUIRE(answer->data[0].unique_users >= part);
      part = answer->data[0].unique_users;
      REQUIRE(answer->total.unique_users <= answer->total.clicks);
      uint64_t& last = before[granularity];
      REQUIRE(answer->total.unique_users >= last);
      last = answer->total.unique_users;
    }
  }
}

/// A part as older programs wrote it: the estimate beside a dense sketch is too low.
class OlderPart final : public store::Part {
 public:
  explicit OlderPart(std::vector<store::Row> rows, store::Table table, uint64_t estimate)
      : part_("older", table, std::move(rows)), estimate_(estimate) {}
  const store::PartMeta& meta() const override { return part_.meta(); }
  Status scan(const store::Scan& scan, const store::Visit& visit) const override {
    return part_.scan(scan, [&](const store::RowView& view) {
      store::RowView older = view;
      older.unique_estimate = estimate_;
      visit(older);
    });
  }
  Status sum(const store::Scan& scan, const store::VisitSum& visit) const override {
    return part_.sum(scan, visit);
  }

 private:
  MemoryPart part_;
  uint64_t estimate_;
};

TEST_CASE("aggregate: an estimate too low in an older file is not answered", "[query]") {
  std::vector<FlatClick> clicks;
  for (uint64_t i = 0; i < 1050; ++i) {
    clicks.push_back({"adv_1", "ad_1", ms("2026-06-24T10:00:00Z"), click::Device::mobile,
                      click::kUnknownCountry, Random(i).next()});
  }
  const auto rows = rows_of(clicks, store::Table::minute);
  REQUIRE(rows[0].visitors.estimate() >= sketch::kDenseLeast);
  auto lists = std::make_shared<std::array<store::PartList, store::kTables>>();
  (*lists)[0].push_back(std::make_shared<OlderPart>(rows, store::Table::minute, 1011));
  std::vector<store::Version> versions(1);
  versions[0].parts = lists;
  const auto request = request_of("ad_id=ad_1&from=2026-06-24T10:00:00Z&to=2026-06-24T10:02:00Z");
  const auto answer = aggregate_clicks(request, versions);
  REQUIRE(answer);
  REQUIRE(answer->data[0].unique_users == rows[0].visitors.estimate());
  REQUIRE(answer->total.unique_users == answer->data[0].unique_users);
}

TEST_CASE("aggregate: an ad's rows of one advertiser alone", "[query]") {
  store::Version version;
  version.head = rows_of({{"adv_1", "ad_1", ms("2026-06-24T10:00:00Z"), click::Device::mobile,
                           click::country_of('D', 'E'), 1},
                          {"adv_2", "ad_1", ms("2026-06-24T10:00:30Z"), click::Device::tablet,
                           click::country_of('U', 'S'), 2}},
                         store::Table::minute);
  const auto granularity = GENERATE(as<std::string>(), "1m", "1h", "1d", "total");
  auto request = request_of("ad_id=ad_1&from=2026-06-24T10:00:00Z&to=2026-06-24T11:00:00Z" +
                            std::string("&breakdown=country&granularity=") + granularity);
  request.advertiser_id = "adv_1";
  CHECK(head_scan(request).advertiser_id == "adv_1");
  const auto answer = aggregate_clicks(request, std::span(&version, 1));
  REQUIRE(answer);
  CHECK(answer->total.clicks == 1);
  CHECK(answer->total.unique_users == 1);
  CHECK(answer->total.countries.size() == 1);
  CHECK(answer->advertiser_id == "adv_1");
  request.advertiser_id = "adv_3";
  CHECK_FALSE(aggregate_clicks(request, std::span(&version, 1))->any_rows);
}

store::Version version_of(const std::vector<FlatClick>& head, int64_t log_ms, int64_t low_ms) {
  store::Version version;
  version.head = rows_of(head, store::Table::minute);
  version.log_time = LogMs(log_ms);
  version.low_water = ArrivalMs(low_ms);
  return version;
}

FlatClick click_at(std::string_view at, const std::string& advertiser = "adv_1") {
  return {advertiser, "ad_1", ms(at), click::Device::mobile, click::kUnknownCountry, 1};
}

TEST_CASE("aggregate: a bucket is complete once every version has passed its end and grace",
          "[query]") {
  const auto request = request_of("ad_id=ad_1&from=2026-06-24T10:00:00Z&to=2026-06-24T10:03:00Z");
  const int64_t edge = ms("2026-06-24T10:01:30Z");
  const auto completes = [&](int64_t first, int64_t second) {
    const std::vector<store::Version> versions{version_of({}, first, first),
                                               version_of({}, second, second)};
    std::string out;
    const auto answer = aggregate_clicks(request, versions);
    for (const Bucket& bucket : answer->data) {
      out += bucket.complete ? '1' : '0';
    }
    return out;
  };
  REQUIRE(completes(edge, edge) == "100");
  REQUIRE(completes(edge - 1, edge + kHourMs) == "000");
  REQUIRE(completes(edge + kHourMs, edge - 1) == "000");
  REQUIRE(completes(edge + 2 * kMinuteMs, edge + 2 * kMinuteMs) == "111");
  REQUIRE(completes(0, 0) == "000");
  REQUIRE_FALSE(aggregate_clicks(request, {})->data[0].complete);
}

TEST_CASE("aggregate: as_of is the least of log times and low-waters", "[query]") {
  const auto request = request_of("ad_id=ad_1&from=0&to=1970-01-01T00:01:00Z");
  const auto as_of = [&](std::vector<store::Version> versions) {
    return aggregate_clicks(request, versions)->as_of_ms;
  };
  REQUIRE(as_of({version_of({}, 100, 90), version_of({}, 80, 95)}) == 80);
  REQUIRE(as_of({version_of({}, 100, 70), version_of({}, 80, 95)}) == 70);
  REQUIRE(as_of({}) == 0);
}

TEST_CASE("aggregate: an ad's rows are known of when they lie outside of the range", "[query]") {
  const auto request = request_of("ad_id=ad_1&from=2026-06-24T10:00:00Z&to=2026-06-24T11:00:00Z");
  std::vector<store::Version> versions{version_of({}, 0, 0)};
  REQUIRE_FALSE(aggregate_clicks(request, versions)->any_rows);

  versions[0].head = rows_of({click_at("2026-06-20T00:00:00Z")}, store::Table::minute);
  auto answer = aggregate_clicks(request, versions);
  REQUIRE(answer->any_rows);
  REQUIRE(answer->advertiser_id == "adv_1");
  REQUIRE(answer->total.clicks == 0);

  versions[0].head.clear();
  auto lists = std::make_shared<std::array<store::PartList, store::kTables>>();
  const auto rows =
      rows_of({click_at("2026-06-20T00:00:00Z"), click_at("2026-06-22T00:00:00Z", "adv_0")},
              store::Table::day);
  (*lists)[2].push_back(std::make_shared<MemoryPart>("part", store::Table::day, rows));
  versions[0].parts = lists;
  answer = aggregate_clicks(request, versions);
  REQUIRE(answer->any_rows);
  REQUIRE(answer->advertiser_id == "adv_0");

  // A straggler in the head is older than what stands in the part.
  versions[0].head = rows_of({click_at("2026-06-21T00:00:00Z")}, store::Table::minute);
  REQUIRE(aggregate_clicks(request, versions)->advertiser_id == "adv_0");
}

TEST_CASE("aggregate: the newest row in range names the advertiser", "[query]") {
  const auto request = request_of("ad_id=ad_1&from=2026-06-24T10:00:00Z&to=2026-06-24T11:00:00Z");
  const std::vector<store::Version> versions{
      version_of({click_at("2026-06-24T10:05:00Z", "old"), click_at("2026-06-24T10:06:00Z", "new"),
                  click_at("2026-06-24T10:01:00Z", "zzz")},
                 0, 0)};
  REQUIRE(aggregate_clicks(request, versions)->advertiser_id == "new");
}

TEST_CASE("aggregate: tables kept for different times still give matching totals", "[query]") {
  // The first day's minutes are gone, its hours and its day are still there.
  const std::vector<FlatClick> old{{"adv_1", "ad_1", ms("2026-06-24T10:00:00Z"),
                                    click::Device::mobile, click::kUnknownCountry, 1}};
  auto lists = std::make_shared<std::array<store::PartList, store::kTables>>();
  for (const auto table : {store::Table::hour, store::Table::day}) {
    (*lists)[static_cast<size_t>(table)].push_back(std::make_shared<MemoryPart>(
        std::string(store::to_string(table)), table, rows_of(old, table)));
  }
  std::vector<store::Version> versions{version_of({click_at("2026-06-25T10:00:00Z")}, 0, 0)};
  versions[0].parts = lists;
  const auto request = request_of("ad_id=ad_1&from=2026-06-24T00:00:00Z&to=2026-06-26T00:00:00Z");
  const auto answer = aggregate_clicks(request, versions);
  REQUIRE(answer->total.clicks == 1);
  REQUIRE(answer->total.unique_users == 1);
}

/// Fails at the first row.
class BrokenPart final : public store::Part {
 public:
  BrokenPart() { meta_.max_bucket_ms = INT64_MAX; }
  const store::PartMeta& meta() const override { return meta_; }
  Status scan(const store::Scan&, const store::Visit& visit) const override {
    if (!sketch_.empty()) {
      store::RowView view;
      view.bucket_ms = 1'782'295'200'000;
      view.clicks = 1;
      view.visitors = sketch_;
      visit(view);
      return {};
    }
    return Error(Errc::corrupt, "block 7");
  }
  Status sum(const store::Scan&, const store::VisitSum&) const override {
    return Error(Errc::corrupt, "block 7");
  }
  std::string sketch_;

 private:
  store::PartMeta meta_;
};

TEST_CASE("aggregate: a damaged part or sketch is an error, never a smaller number", "[query]") {
  const auto part = std::make_shared<BrokenPart>();
  auto lists = std::make_shared<std::array<store::PartList, store::kTables>>();
  for (auto& list : *lists) list.push_back(part);
  std::vector<store::Version> versions(1);
  versions[0].parts = lists;
  const auto request =
      request_of("ad_id=ad_1&granularity=total&from=1782295200000&to=1782295260000");
  auto answer = aggregate_clicks(request, versions);
  REQUIRE_FALSE(answer);
  REQUIRE(answer.error().code() == Errc::corrupt);
  TopRequest top;
  top.to_ms = 60'000;
  REQUIRE_FALSE(aggregate_top(top, versions));

  part->sketch_ = "\xff\xff\xff";
  const auto minutes = request_of("ad_id=ad_1&from=1782295200000&to=1782295320000");
  answer = aggregate_clicks(minutes, versions);
  REQUIRE_FALSE(answer);
  REQUIRE(answer.error().code() == Errc::corrupt);
}

TEST_CASE("aggregate: the head is asked for what the request needs", "[query]") {
  const std::string range = "&from=2026-06-24T10:00:00Z&to=2026-06-24T11:00:00Z";
  auto request = request_of("ad_id=ad_1" + range);
  auto scan = head_scan(request);
  REQUIRE(scan.ad_id == "ad_1");
  REQUIRE(scan.outside);
  REQUIRE(scan.visitors);
  REQUIRE_FALSE(scan.countries);
  request = request_of("advertiser_id=adv_1&country=DE" + range);
  scan = head_scan(request);
  REQUIRE(scan.advertiser_id == "adv_1");
  REQUIRE(scan.from_ms == request.from_ms);
  REQUIRE(scan.to_ms == request.to_ms);
  REQUIRE_FALSE(scan.visitors);
  REQUIRE(scan.countries);
}

TEST_CASE("plan: days in the middle, hours around them, minutes at the edges", "[query]") {
  using store::Table;
  const auto plan_of = [](std::string_view from, std::string_view to) {
    Plan plan;
    REQUIRE(append_stretch(ms(from), ms(to), store::kAllTime, plan));
    return plan;
  };
  REQUIRE(plan_of("2026-06-24T10:58:00Z", "2026-06-27T03:02:00Z") ==
          Plan{{Table::minute, ms("2026-06-24T10:58:00Z"), ms("2026-06-24T11:00:00Z")},
               {Table::hour, ms("2026-06-24T11:00:00Z"), ms("2026-06-25T00:00:00Z")},
               {Table::day, ms("2026-06-25T00:00:00Z"), ms("2026-06-27T00:00:00Z")},
               {Table::hour, ms("2026-06-27T00:00:00Z"), ms("2026-06-27T03:00:00Z")},
               {Table::minute, ms("2026-06-27T03:00:00Z"), ms("2026-06-27T03:02:00Z")}});
  REQUIRE(plan_of("2026-06-24T10:58:00Z", "2026-06-24T11:02:00Z") ==
          Plan{{Table::minute, ms("2026-06-24T10:58:00Z"), ms("2026-06-24T11:02:00Z")}});
  REQUIRE(plan_of("2026-06-24T00:00:00Z", "2026-06-25T00:00:00Z") ==
          Plan{{Table::day, ms("2026-06-24T00:00:00Z"), ms("2026-06-25T00:00:00Z")}});
  REQUIRE(plan_of("2026-06-24T00:00:00Z", "2026-06-24T00:00:00Z").empty());
}

}  // namespace
}  // namespace clickmill::query
