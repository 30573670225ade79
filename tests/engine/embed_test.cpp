#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include "base/temporary_directory.h"
#include "clickmill/node.h"

namespace clickmill {
namespace {

Config config_in(const TemporaryDirectory& directory) {
  Config config;
  config.listeners = false;
  config.data_dir = directory.path();
  config.partitions = 4;
  config.threads = 1;
  config.catalog_file = "";
  return config;
}

int64_t now_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

Click click_on(const std::string& ad_id, const std::string& click_id = {}) {
  Click click;
  click.ad_id = ad_id;
  click.click_id = click_id;
  return click;
}

/// Of the last hour and the next, so that a test may run over midnight.
CountsQuery around_now(const std::string& ad_id) {
  CountsQuery query;
  query.ad_id = ad_id;
  query.from_ms = now_ms() - 3'600'000;
  query.to_ms = now_ms() + 3'600'000;
  return query;
}

Counts wait_for(const Node& node, const CountsQuery& query, uint64_t clicks) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  Counts counts = node.counts(query);
  while (counts.total.clicks != clicks && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::yield();
    counts = node.counts(query);
  }
  CHECK(counts.total.clicks == clicks);
  return counts;
}

const Ad kAd{"ad_1", "adv_1", "banner", "https://example.com/a"};

/// The kind and the field that a call throws, as "invalid ad_id"; empty: nothing.
template <typename Call>
std::string refusal(Call call) {
  constexpr const char* kKinds[] = {"invalid", "not_found", "unavailable", "failed"};
  try {
    call();
  } catch (const RequestError& error) {
    return kKinds[static_cast<size_t>(error.kind())] +
           (error.field().empty() ? std::string() : " " + error.field());
  }
  return {};
}

}  // namespace

TEST_CASE("embed: without a port, a click is recorded once, counted, and there after a restart",
          "[engine]") {
  const TemporaryDirectory directory;
  {
    Node node(config_in(directory));
    CHECK(node.collector_address().empty());
    CHECK(node.api_address().empty());
    CHECK(node.put_ad(kAd));
    CHECK_FALSE(node.put_ad(kAd));
    Click click = click_on("ad_1", "c-1");
    click.device_type = "tablet";
    click.country = "DE";
    click.user_id = "u-1";
    for (int copy = 0; copy < 2; ++copy) {
      Receipt receipt = node.record(click);
      CHECK(receipt.redirect_url == "https://example.com/a");
      CHECK(receipt.fate.get() == Fate::durable);
    }
    Click another = click_on("ad_1");
    another.user_id = "u-2";
    CHECK(node.record(another).fate.get() == Fate::durable);

    CountsQuery query = around_now("ad_1");
    query.breakdown = Breakdown::device_type;
    const Counts counts = wait_for(node, query, 2);
    CHECK(counts.advertiser_id == "adv_1");
    CHECK(counts.total.unique_users == 2);
    CHECK(counts.total.breakdown.at("tablet") == 1);
    CHECK(counts.series.size() == 1);

    query.breakdown = Breakdown::country;
    query.granularity = Granularity::minute;
    query.empty_buckets = false;
    uint64_t from_germany = 0;
    for (const Bucket& bucket : node.counts(query).series) {
      const auto at = bucket.breakdown.find("DE");
      if (at != bucket.breakdown.end()) from_germany += at->second;
      CHECK(bucket.start_ms % 60'000 == 0);
    }
    CHECK(from_germany == 1);
    query.breakdown = Breakdown::none;
    query.country = "DE";
    CHECK(node.counts(query).total.clicks == 1);
    CHECK_FALSE(node.counts(query).total.unique_users);

    Click preview = click_on("ad_1");
    preview.user_agent = "Twitterbot/1.0";
    node.record(preview).fate.get();
    Click known = click_on("ad_1");
    known.automated = true;
    node.record(known).fate.get();
    CHECK(wait_for(node, around_now("ad_1"), 4).total.automated_clicks == 2);
    CountsQuery people = around_now("ad_1");
    people.automated = Automated::exclude;
    CHECK(node.counts(people).total.clicks == 2);
    CHECK(node.counts(people).total.unique_users == 2);

    TopQuery top;
    top.automated = Automated::exclude;
    top.from_ms = query.from_ms;
    top.to_ms = query.to_ms;
    const Top ads = node.top(top);
    REQUIRE(ads.ads.size() == 1);
    CHECK(ads.ads[0].ad_id == "ad_1");
    CHECK(ads.ads[0].clicks == 2);
    CHECK(ads.total_clicks == 2);
    CHECK(ads.ads[0].automated_clicks == 2);
    CHECK(ads.total_automated_clicks == 2);
    CHECK(node.not_ready().empty());
  }
  Node again(config_in(directory));
  CHECK(again.find_ad("ad_1")->redirect_url == kAd.redirect_url);
  wait_for(again, around_now("ad_1"), 4);
  CHECK(again.remove_ad("ad_1"));
  CHECK_FALSE(again.remove_ad("ad_1"));
  CHECK_FALSE(again.find_ad("ad_1"));
  CHECK(again.counts(around_now("ad_1")).total.clicks == 4);
}

TEST_CASE("embed: a node that opens no port needs none, and may stand beside another", "[engine]") {
  const TemporaryDirectory one, two;
  // Both are told the same addresses, which anybody may have taken.
  Config first = config_in(one), second = config_in(two);
  first.json = second.json = R"({"listen": {"collector": "0.0.0.0:80", "api": "0.0.0.0:80"}})";
  Node a(first), b(second);
  a.put_ad(kAd);
  CHECK(a.record(click_on("ad_1")).fate.get() == Fate::durable);
  CHECK_FALSE(b.find_ad("ad_1"));
}

TEST_CASE("embed: what is wrong is told with its field", "[engine]") {
  const TemporaryDirectory directory;
  Node node(config_in(directory));
  node.put_ad(kAd);
  const auto record = [&](const std::function<void(Click&)>& spoil) {
    Click click = click_on("ad_1");
    spoil(click);
    return refusal([&] { node.record(click); });
  };
  CHECK(record([](Click&) {}).empty());
  CHECK(record([](Click& click) { click.ad_id = ""; }) == "invalid ad_id");
  CHECK(record([](Click& click) { click.ad_id = "ad_2"; }) == "not_found ad_id");
  CHECK(record([](Click& click) { click.click_id = "a b"; }) == "invalid click_id");
  CHECK(record([](Click& click) { click.timestamp_ms = -1; }) == "invalid timestamp_ms");
  CHECK(record([](Click& click) { click.timestamp_ms = 1'782'295'200; }) == "invalid timestamp_ms");
  CHECK(record([](Click& click) { click.device_type = "fridge"; }) == "invalid device_type");
  CHECK(record([](Click& click) { click.user_id = "\xff"; }) == "invalid user_id");
  CHECK(record([](Click& click) { click.ip = "x"; }) == "invalid ip");
  CHECK(record([](Click& click) { click.country = "EU"; }).empty());

  const auto counts = [&](const std::function<void(CountsQuery&)>& spoil) {
    CountsQuery query = around_now("ad_1");
    spoil(query);
    return refusal([&] { node.counts(query); });
  };
  CHECK(counts([](CountsQuery&) {}).empty());
  CHECK(counts([](CountsQuery& query) { query.ad_id = ""; }) == "invalid ad_id");
  CHECK(counts([](CountsQuery& query) { query.ad_id = "ad_2"; }) == "not_found ad_id");
  CHECK(counts([](CountsQuery& query) { query.advertiser_id = "adv_1"; }) ==
        "invalid advertiser_id");
  CHECK(counts([](CountsQuery& query) { query.to_ms = query.from_ms; }) == "invalid to");
  CHECK(counts([](CountsQuery& query) { query.timezone = "Mars/Olympus"; }) == "invalid timezone");
  CHECK(counts([](CountsQuery& query) { query.country = "EU"; }) == "invalid country");
  CHECK(counts([](CountsQuery& query) {
          query.from_ms = 0;
          query.granularity = Granularity::minute;
        }) == "invalid granularity");
  TopQuery top;
  top.n = 0;
  CHECK(refusal([&] { node.top(top); }) == "invalid n");

  Ad ad = kAd;
  ad.redirect_url = "ftp://example.com/";
  CHECK(refusal([&] { node.put_ad(ad); }) == "invalid redirect_url");

  node.stop();
  CHECK(record([](Click&) {}) == "unavailable");
  CHECK(counts([](CountsQuery&) {}) == "unavailable");
  CHECK(refusal([&] { node.put_ad(kAd); }) == "unavailable");
  node.stop();
}

TEST_CASE("embed: what keeps a node from starting is told", "[engine]") {
  const TemporaryDirectory directory;
  const auto start = [&](const std::function<void(Config&)>& spoil) {
    Config config = config_in(directory);
    spoil(config);
    Node node(config);
  };
  CHECK_THROWS_WITH(start([](Config& config) { config.json = "{"; }), Catch::Contains("line 1"));
  CHECK_THROWS_WITH(start([](Config& config) { config.json = R"({"data_dri": 1})"; }),
                    Catch::Contains("data_dir"));
  CHECK_THROWS_WITH(start([](Config& config) { config.partitions = 0; }),
                    Catch::Contains("log.partitions"));
  CHECK_THROWS_WITH(start([](Config& config) { config.durability = "never"; }),
                    Catch::Contains("collector.durability"));
  CHECK_THROWS_WITH(start([](Config& config) {
                      config.listeners = true;
                      config.api = "0.0.0.0:0";
                    }),
                    Catch::Contains("auth.keys"));
}

TEST_CASE("embed: a click's fate is told under every durability, and may be taken badly",
          "[engine]") {
  const TemporaryDirectory directory;
  Config config = config_in(directory);
  config.durability = GENERATE("memory", "written", "synced");
  CAPTURE(*config.durability);
  Node node(config);
  node.put_ad(kAd);
  CHECK(node.record(click_on("ad_1"), [](Fate) { throw std::runtime_error("no"); }) ==
        kAd.redirect_url);
  CHECK(node.record(click_on("ad_1"), nullptr) == kAd.redirect_url);
  std::mutex mutex;
  std::condition_variable told;
  std::vector<Fate> fates;
  node.record(click_on("ad_1"), [&](Fate fate) {
    const std::lock_guard lock(mutex);
    fates.push_back(fate);
    told.notify_all();
  });
  {
    std::unique_lock lock(mutex);
    told.wait(lock, [&] { return !fates.empty(); });
  }
  node.stop();
  CHECK(fates == std::vector{Fate::durable});
}

TEST_CASE(
    "embed: what many threads record while the node stops is counted once after the next start",
    "[engine]") {
  const TemporaryDirectory directory;
  std::atomic<uint64_t> recorded{0};
  {
    Node node(config_in(directory));
    node.put_ad(kAd);
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        std::vector<std::future<Fate>> under_way;
        for (bool stopped = false; !stopped; under_way.clear()) {
          stopped = !refusal([&] {
                       while (under_way.size() < 16)
                         under_way.push_back(node.record(click_on("ad_1")).fate);
                     }).empty();
          for (auto& fate : under_way) recorded += fate.get() == Fate::durable ? 1 : 0;
        }
      });
    }
    while (node.counts(around_now("ad_1")).total.clicks < 100) std::this_thread::yield();
    node.stop();
    for (auto& thread : threads) thread.join();
  }
  CHECK(recorded >= 100);
  Node again(config_in(directory));
  wait_for(again, around_now("ad_1"), recorded);
}

}  // namespace clickmill
