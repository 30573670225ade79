#include <catch2/catch.hpp>
#include <map>
#include <set>

#include "base/query_params.h"
#include "base/time_text.h"
#include "click/parse.h"
#include "query/aggregate.h"
#include "query/kept.h"
#include "query/zone_files.h"
#include "stream/stream_fixture.h"

namespace clickmill::query {
namespace {

using stream::ModelRow;
using stream::RandomLog;
using stream::RowKey;
using stream::Stream;

std::string pick(Random& random, const std::vector<std::string>& words) {
  return words[random.below(words.size())];
}

std::vector<std::string> zones() {
  std::vector<std::string> out{"UTC"};
  for (const std::string name : {"Asia/Kolkata", "Asia/Kathmandu", "America/New_York"}) {
    if (ZoneFiles::system().load(name)) out.push_back(name);
  }
  return out;
}

/// Hours or days about some minute that has clicks, or about none.
std::pair<int64_t, int64_t> random_range(const stream::Model& model, Random& random) {
  int64_t middle = model.log_time();
  if (!model.minutes().empty() && !random.one_in(4)) {
    middle = std::next(model.minutes().begin(),
                       static_cast<std::ptrdiff_t>(random.below(model.minutes().size())))
                 ->first.bucket_ms;
  }
  // Smaller numbers would be taken for seconds.
  constexpr int64_t kLeast = 100'000'000'000;
  if (middle < kLeast) middle = model.log_time();
  const int64_t unit = random.one_in(2) ? kHourMs : kMinuteMs;
  const auto length = [&] { return static_cast<int64_t>(1 + random.below(300)) * unit; };
  const int64_t from = std::max(kLeast, middle - length());
  return {from, middle + length()};
}

/// Beside a stream, everything that its answers must be.
class Life {
 public:
  explicit Life(uint64_t seed) : stream_(seed), log_(seed), random_(seed * 31 + 7) {}

  void step() {
    // What has been deleted can't be amended by who knows what it was.
    const bool amend = deleted_ == store::kAllTime && random_.one_in(30);
    stream_.apply(amend ? stream::random_repair(stream_.model(), random_) : log_.next());
    if (random_.one_in(3)) stream_.checkpoint_step();
    if (random_.one_in(8)) stream_.merge();
    if (random_.one_in(6)) stream_.shelve();
    if (random_.one_in(60)) {
      stream_.crash();
      stream_.replay();
    }
    if (++steps_ > 150 && random_.one_in(40)) delete_some();
  }

  void ask_for_clicks() {
    const auto [from, to] = random_range(stream_.model(), random_);
    const std::string query =
        pick(random_, {"ad_id=ad_0", "ad_id=ad_1", "ad_id=ad_7", "advertiser_id=adv_1",
                       "advertiser_id=adv_2", "advertiser_id=*"}) +
        "&from=" + std::to_string(from) + "&to=" + std::to_string(to) +
        "&granularity=" + pick(random_, {"1m", "1h", "1h", "1d", "1d", "total"}) +
        "&timezone=" + pick(random_, zones_) +
        pick(random_, {"", "&breakdown=device_type", "&breakdown=country", "&device_type=tablet",
                       "&country=AE"}) +
        pick(random_, {"", "", "&automated=exclude", "&automated=only"}) +
        pick(random_, {"", "&fill=none"});
    CAPTURE(query);
    const auto parsed = parse_clicks(parse_query(query), 200'000);
    if (const auto* error = std::get_if<ParamError>(&parsed)) FAIL(error->field + error->detail);
    auto request = std::get<ClicksRequest>(parsed);
    if (fit_to_kept(request, deleted_)) return;
    const std::vector<store::Version> versions{stream_.pipeline().version(head_scan(request))};
    const auto answer = aggregate_clicks(request, versions);
    if (!answer) FAIL(answer.error().text());
    check(request, *answer);
    // What was kept of it is the same.
    const auto again = aggregate_clicks(request, versions);
    REQUIRE(again);
    REQUIRE(render_clicks(request, *again) == render_clicks(request, *answer));
    ++asked;
  }

  void ask_for_top() {
    const auto [from, to] = random_range(stream_.model(), random_);
    const std::string query = "from=" + std::to_string(from) + "&to=" + std::to_string(to) +
                              "&n=" + std::to_string(1 + random_.below(12)) +
                              pick(random_, {"", "&advertiser_id=adv_1", "&advertiser_id=adv_2"}) +
                              pick(random_, {"", "", "&automated=exclude", "&automated=only"}) +
                              pick(random_, {"", "&device_type=mobile", "&country=BE"});
    CAPTURE(query);
    auto request = std::get<TopRequest>(parse_top(parse_query(query), 0));
    if (fit_to_kept(request, deleted_)) return;
    const std::vector<store::Version> versions{stream_.pipeline().version(head_scan(request))};
    const auto answer = aggregate_top(request, versions);
    if (!answer) FAIL(answer.error().text());
    std::map<std::string, uint64_t> by_ad;
    uint64_t total = 0;
    uint64_t automated = 0;
    for (const auto& [key, row] : stream_.model().minutes()) {
      if (key.bucket_ms < request.from_ms || key.bucket_ms >= request.to_ms) continue;
      if (!request.advertiser_id.empty() && request.advertiser_id != key.advertiser_id) continue;
      const uint64_t clicks = clicks_of(row, request.device, request.country);
      if (key.automated) automated += clicks;
      if (!store::takes(request.automated, key.automated)) continue;
      if (clicks > 0) by_ad[key.ad_id] += clicks;
      total += clicks;
    }
    std::vector<std::pair<std::string, uint64_t>> want(by_ad.begin(), by_ad.end());
    std::stable_sort(want.begin(), want.end(),
                     [](const auto& a, const auto& b) { return a.second > b.second; });
    want.resize(std::min(want.size(), request.n));
    std::vector<std::pair<std::string, uint64_t>> got;
    for (const auto& item : answer->data) got.emplace_back(item.ad_id, item.clicks);
    REQUIRE(got == want);
    REQUIRE(answer->total_clicks == total);
    REQUIRE(answer->total_automated == automated);
    ++asked;
  }

  uint64_t asked = 0;

 private:
  /// As retention does: what is to go is told first, and goes when a merge does it.
  void delete_some() {
    const int64_t now = stream_.model().log_time();
    for (const auto table : {store::Table::minute, store::Table::hour, store::Table::day}) {
      const auto t = static_cast<size_t>(table);
      const int64_t before =
          floor_to(now, kDayMs) - kDayMs * static_cast<int64_t>(random_.below(9) + 3 * t);
      deleted_[t] = std::max(deleted_[t], before);
    }
    while (const auto merge = stream_.pipeline().due_merge(deleted_)) {
      const auto done = merge->run();
      if (!done) FAIL(done.error().text());
      stream_.pipeline().take_merge(*merge);
    }
  }

  static uint64_t clicks_of(const ModelRow& row, const std::optional<click::Device>& device,
                            const std::optional<click::Country>& country) {
    if (device) return row.devices[static_cast<size_t>(*device)];
    if (!country) return row.clicks;
    const auto found = row.countries.find(*country);
    return found == row.countries.end() ? 0 : found->second;
  }

  struct Wanted {
    ModelRow row;  ///< of whom the request asks for
    uint64_t automated = 0;
  };

  Wanted count(const ClicksRequest& request, int64_t from_ms, int64_t to_ms) const {
    Wanted sum;
    const auto& minutes = stream_.model().minutes();
    for (auto at = minutes.lower_bound({from_ms, "", "", false}); at != minutes.end(); ++at) {
      const auto& [key, row] = *at;
      if (key.bucket_ms >= to_ms) break;
      if (!request.ad_id.empty() && key.ad_id != request.ad_id) continue;
      if (!request.advertiser_id.empty() && key.advertiser_id != request.advertiser_id) continue;
      if (key.automated) sum.automated += clicks_of(row, request.device, request.country);
      if (store::takes(request.automated, key.automated)) sum.row.merge(row);
    }
    return sum;
  }

  static void check_bucket(const ClicksRequest& request, const Bucket& bucket,
                           const Wanted& wanted) {
    REQUIRE(bucket.automated == wanted.automated);
    const ModelRow& want = wanted.row;
    REQUIRE(bucket.clicks == clicks_of(want, request.device, request.country));
    if (request.device || request.country) return;
    REQUIRE(bucket.devices == want.devices);
    if (request.breakdown == Breakdown::country) {
      std::map<click::Country, uint64_t> countries;
      for (const auto& [code, clicks] : want.countries)
        countries[click::listed_country(code)] += clicks;
      REQUIRE(bucket.countries == countries);
    }
    sketch::Hll visitors;
    for (const uint64_t hash : want.visitors) visitors.add(hash);
    REQUIRE(bucket.unique_users == std::min(visitors.estimate(), want.clicks));
  }

  void check(const ClicksRequest& request, const ClicksAnswer& answer) const {
    const auto starts =
        bucket_starts(*request.zone, request.granularity, request.from_ms, request.to_ms);
    size_t shown = 0;
    for (size_t i = 0; i < starts.size(); ++i) {
      const int64_t end = i + 1 < starts.size() ? starts[i + 1] : request.to_ms;
      const Wanted want = count(request, starts[i], end);
      const bool left_out = !request.fill_zero && request.granularity != Granularity::total &&
                            clicks_of(want.row, request.device, request.country) == 0;
      if (left_out) continue;
      REQUIRE(shown < answer.data.size());
      REQUIRE(answer.data[shown].start_ms == starts[i]);
      check_bucket(request, answer.data[shown++], want);
    }
    REQUIRE(shown == answer.data.size());
    check_bucket(request, answer.total, count(request, request.from_ms, request.to_ms));
  }

  Stream stream_;
  RandomLog log_;
  Random random_;
  store::TableTimes deleted_ = store::kAllTime;
  int steps_ = 0;
  const std::vector<std::string> zones_ = zones();
};

}  // namespace

TEST_CASE("history: every question equals a naive count, whatever became of the rows", "[query]") {
  const uint64_t seed = GENERATE(range<uint64_t>(1, 9));
  CAPTURE(seed);
  Life life(seed);
  for (int step = 0; step < 300; ++step) {
    life.step();
    for (int i = 0; i < 2; ++i) life.ask_for_clicks();
    life.ask_for_top();
  }
  CHECK(life.asked > 300);
}

}  // namespace clickmill::query
