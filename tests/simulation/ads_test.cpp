// Goal: ads hold on every node of a cluster. Method: SimCluster, whose watch sees an ad that
// nobody has agreed to, or one that is older again; lives with many troubles are in
// cluster_test.cpp, here are the things that must come about in a certain way.

#include <catch2/catch.hpp>
#include <optional>
#include <string>
#include <thread>

#include "cluster/ad_finder.h"
#include "simulation/sim_cluster.h"

namespace clickmill::simulation {
namespace {

catalog::Ad ad_of(const std::string& ad_id, const std::string& to) {
  return {ad_id, "adv", "banner", "https://shop.example/" + to};
}

class Ads {
 public:
  explicit Ads(uint64_t seed, size_t started = 3) : cluster(seed, {}) {
    for (size_t i = 0; i < started; ++i) REQUIRE_FALSE(cluster.open(i));
  }
  using Done = std::optional<Result<cluster::AdsGroup::Outcome>>;
  std::shared_ptr<Done> change(size_t node, std::vector<catalog::AdsChange> changes) {
    auto done = std::make_shared<Done>();
    cluster::AdsProposal proposal;
    proposal.changes = std::move(changes);
    cluster.node(node).machine().ads_desk()->propose(
        std::move(proposal),
        [done](Result<cluster::AdsGroup::Outcome> told) { done->emplace(std::move(told)); });
    return done;
  }
  std::shared_ptr<Done> put(size_t node, const catalog::Ad& ad) {
    return change(node, {{catalog::AdsChange::Kind::upsert, ad, {}}});
  }
  std::shared_ptr<Done> remove(size_t node, const std::string& ad_id) {
    return change(node, {{catalog::AdsChange::Kind::remove, {ad_id, {}, {}, {}}, {}}});
  }
  void run(int64_t ms) {
    for (int64_t at = 0; at < ms; at += 10) step();
  }
  bool run_until(const std::function<bool()>& done, int64_t ms = 20'000) {
    for (int64_t at = 0; at < ms && !done(); at += 10) step();
    return done();
  }
  bool wait(const std::shared_ptr<Done>& done) {
    return run_until([&] { return done->has_value(); }) && (**done).has_value();
  }
  std::string url(size_t node, const std::string& ad_id) {
    const auto ads = cluster.node(node).ads().snapshot();
    const catalog::Ad* const ad = ads->find(ad_id);
    return ad == nullptr ? "" : ad->redirect_url.substr(21);
  }
  void settle() {
    const auto problem = cluster.settle();
    CAPTURE(problem.value_or(""));
    REQUIRE_FALSE(problem);
  }
  std::string all(size_t node) {
    std::string out;
    for (const auto& ad : cluster.node(node).own_ads().snapshot()->list({}, {}, 100'000))
      out += ad.ad_id + '=' + ad.redirect_url.substr(21) + ' ';
    return out;
  }
  void write_file(size_t node, const std::string& text) {
    REQUIRE(write_file_atomically(cluster.node(node).files, "/data/ads.ndjson", text));
  }
  SimCluster cluster;

 private:
  void step() {
    const auto problem = cluster.step();
    CAPTURE(problem.value_or(""));
    REQUIRE_FALSE(problem);
  }
};

std::string line_of(const std::string& ad_id, const std::string& to) {
  return catalog::ad_to_json(ad_of(ad_id, to)) + "\n";
}

TEST_CASE("ads: what any node accepted holds there at once, and soon at all",
          "[simulation][cluster][ads]") {
  Ads ads(1);
  const auto first = ads.put(0, ad_of("a", "1"));
  REQUIRE(ads.wait(first));
  CHECK((**first)->made == 1);
  CHECK(ads.url(0, "a") == "1");
  const auto second = ads.put(1, ad_of("a", "2"));
  REQUIRE(ads.wait(second));
  CHECK((**second)->made == 0);
  CHECK(ads.url(1, "a") == "2");
  const auto removed = ads.remove(2, "a");
  REQUIRE(ads.wait(removed));
  CHECK((**removed)->removed == 1);
  const auto again = ads.remove(2, "a");
  REQUIRE(ads.wait(again));
  CHECK((**again)->removed == 0);
  REQUIRE(ads.wait(ads.put(2, ad_of("b", "3"))));
  ads.settle();
  for (size_t node = 0; node < 3; ++node) CHECK(ads.all(node) == "b=3 ");
}

TEST_CASE("ads: without a quorum a change is refused in time, and reads go on",
          "[simulation][cluster][ads]") {
  Ads ads(2);
  REQUIRE(ads.wait(ads.put(0, ad_of("a", "1"))));
  ads.settle();
  ads.cluster.die(1, false);
  ads.cluster.die(2, false);
  const auto put = ads.put(0, ad_of("a", "2"));
  REQUIRE(ads.run_until([&] { return put->has_value(); }, 7'000));
  REQUIRE_FALSE(**put);
  CHECK((**put).error().code() == Errc::busy);
  CHECK(ads.url(0, "a") == "1");
  // A start without a quorum shows the ads that it had.
  ads.cluster.die(0, true);
  REQUIRE_FALSE(ads.cluster.open(0));
  ads.run(1'000);
  CHECK(ads.url(0, "a") == "1");
}

TEST_CASE("ads: a start shows no state again that was older", "[simulation][cluster][ads]") {
  for (uint64_t seed = 0; seed < 8; ++seed) {
    Ads ads(seed);
    for (int i = 0; i < 30; ++i) {
      REQUIRE(ads.wait(ads.put(static_cast<size_t>(i) % 3, ad_of("a", std::to_string(i)))));
      if (i % 7 == 3) {
        // The watch of SimCluster looks at each step.
        const size_t node = static_cast<size_t>(i) % 3;
        ads.cluster.die(node, seed % 2 == 0);
        REQUIRE_FALSE(ads.cluster.open(node));
      }
      if (i == 20) ads.cluster.clock.advance_ms(kHourMs);
    }
    ads.settle();
    for (size_t node = 0; node < 3; ++node) CHECK(ads.all(node) == "a=29 ");
  }
}

TEST_CASE("ads: an empty node gets all of them, by blocks", "[simulation][cluster][ads]") {
  Ads ads(3, 2);
  for (int hour = 0; hour < 4; ++hour) {
    for (int i = 0; i < 5; ++i) {
      const std::string ad_id = "ad" + std::to_string(hour * 5 + i);
      REQUIRE(ads.wait(ads.put(0, ad_of(ad_id, "x"))));
    }
    ads.cluster.clock.advance_ms(kHourMs);
    ads.run(1'000);
  }
  REQUIRE(ads.wait(ads.remove(1, "ad7")));
  REQUIRE(ads.cluster.node(0).machine().owned().ads->segments().last() > Offset(10));
  REQUIRE_FALSE(ads.cluster.open(2));
  ads.settle();
  CHECK(ads.all(2) == ads.all(0));
  CHECK(ads.cluster.node(2).own_ads().snapshot()->size() == 19);
  CHECK(ads.cluster.node(2).machine().owned().ads->segments().last() > Offset(10));
}

TEST_CASE("ads: many at once come in several entries, all of them", "[simulation][cluster][ads]") {
  Ads ads(4);
  std::vector<catalog::AdsChange> changes;
  for (int i = 0; i < 6'000; ++i) {
    const auto ad = ad_of("ad" + std::to_string(i), std::to_string(i));
    changes.push_back({catalog::AdsChange::Kind::upsert, ad, {}});
  }
  const auto put = ads.change(1, std::move(changes));
  REQUIRE(ads.wait(put));
  CHECK((**put)->made == 6'000);
  ads.settle();
  for (size_t node = 0; node < 3; ++node)
    CHECK(ads.cluster.node(node).own_ads().snapshot()->size() == 6'000);
}

TEST_CASE("ads: a file serves before there is a quorum, and is taken in once in all",
          "[simulation][cluster][ads]") {
  Ads ads(5, 1);
  ads.write_file(0, line_of("a", "file") + line_of("b", "file"));
  const auto taken = ads.cluster.node(0).ads().take_in_file("/data/ads.ndjson");
  REQUIRE(taken);
  CHECK(*taken == 2);
  CHECK(ads.url(0, "a") == "file");
  ads.run(7'000);
  CHECK(ads.url(0, "a") == "file");
  CHECK(ads.all(0).empty());
  for (size_t node = 1; node < 3; ++node) REQUIRE_FALSE(ads.cluster.open(node));
  REQUIRE(ads.run_until([&] { return ads.all(2) == "a=file b=file "; }));
  // What is changed afterwards is not undone by another node that has the file too.
  REQUIRE(ads.wait(ads.put(1, ad_of("a", "new"))));
  REQUIRE(ads.wait(ads.remove(1, "b")));
  for (size_t node = 0; node < 3; ++node) {
    ads.write_file(node, line_of("a", "file") + line_of("b", "file"));
    REQUIRE(ads.cluster.node(node).ads().take_in_file("/data/ads.ndjson"));
  }
  ads.run(2'000);
  ads.settle();
  for (size_t node = 0; node < 3; ++node) {
    CHECK(ads.all(node) == "a=new ");
    CHECK(ads.url(node, "b").empty());
  }
  ads.write_file(2, line_of("b", "second-file"));
  REQUIRE(ads.cluster.node(2).ads().take_in_file("/data/ads.ndjson"));
  REQUIRE(ads.run_until([&] { return ads.all(0) == "a=new b=second-file "; }));
  ads.write_file(2, "{}");
  CHECK_FALSE(ads.cluster.node(2).ads().take_in_file("/data/ads.ndjson"));
}

TEST_CASE("ads: a node that was alone brings those it had", "[simulation][cluster][ads]") {
  Ads ads(6, 0);
  {
    auto& files = ads.cluster.node(1).files;
    REQUIRE(files.create_directories("/data"));
    const auto own = catalog::Catalog::open(files, "/data");
    REQUIRE(own);
    REQUIRE((*own)->put(ad_of("old", "1")));
  }
  ads.cluster.expect_ad(ad_of("old", "1"));
  for (size_t node = 0; node < 3; ++node) REQUIRE_FALSE(ads.cluster.open(node));
  REQUIRE(ads.run_until([&] { return ads.all(2) == "old=1 "; }));
  ads.settle();
  for (size_t node = 0; node < 3; ++node) CHECK(ads.all(node) == "old=1 ");
}

TEST_CASE("ads: who doesn't know an ad asks how far they are before saying so",
          "[simulation][cluster][ads]") {
  Ads ads(7);
  REQUIRE(ads.wait(ads.put(0, ad_of("a", "1"))));
  ads.settle();
  cluster::AdFinder finder(ads.cluster.node(2).ads(), *ads.cluster.node(2).machine().ads_desk(),
                           ads.cluster.clock, {.timeout_ms = 400, .callers_most = 2});
  const auto look_up = [&](const std::string& ad_id) {
    std::optional<catalog::Finding> found;
    finder.look_up(ad_id, [&](catalog::Finding finding) { found = std::move(finding); });
    const auto is_found = [&] {
      finder.tick();
      return found.has_value();
    };
    REQUIRE(ads.run_until(is_found, 410));
    return *found;
  };
  CHECK(look_up("none").kind == catalog::Finding::Kind::no_ad);
  // Told at n1 and not yet here, since it trails.
  for (int i = 0; i < 20; ++i) {
    const std::string ad_id = "b" + std::to_string(i);
    const size_t at = static_cast<size_t>(i) % 2;
    REQUIRE(ads.wait(ads.put(at, ad_of(ad_id, "2"))));
    const auto finding = look_up(ad_id);
    REQUIRE(finding.kind == catalog::Finding::Kind::ad);
    CHECK(finding.ad->ad_id == ad_id);
  }
  ads.cluster.die(0, false);
  ads.cluster.die(1, false);
  CHECK(look_up("none").kind == catalog::Finding::Kind::unavailable);
  // No more may wait than it was told.
  std::vector<catalog::Finding::Kind> kinds;
  for (int i = 0; i < 3; ++i)
    finder.look_up("none", [&](const catalog::Finding& finding) { kinds.push_back(finding.kind); });
  CHECK(kinds == std::vector{catalog::Finding::Kind::unavailable});
  ads.cluster.clock.advance_ms(400);
  finder.tick();
  CHECK(kinds.size() == 3);
}

TEST_CASE("ads: a leader that stood still for seconds tells no older truth",
          "[simulation][cluster][ads]") {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    CAPTURE(seed);
    Ads ads(seed);
    REQUIRE(ads.wait(ads.put(0, ad_of("a", "1"))));
    ads.settle();
    const size_t stopped = *ads.cluster.leader(ads.cluster.ads());
    const int64_t goes_on_ms = ads.cluster.clock.wall_ms() + 5'000;
    ads.cluster.pause(stopped, 5'000);
    const auto others_lead = [&] {
      const auto leads = ads.cluster.leader(ads.cluster.ads());
      return leads && *leads != stopped;
    };
    REQUIRE(ads.run_until(others_lead, 4'000));
    REQUIRE(ads.wait(ads.put((stopped + 1) % 3, ad_of("b", "2"))));
    ads.run(goes_on_ms - ads.cluster.clock.wall_ms() - 10);
    cluster::AdFinder finder(ads.cluster.node(stopped).ads(),
                             *ads.cluster.node(stopped).machine().ads_desk(), ads.cluster.clock,
                             {.timeout_ms = 1'000, .callers_most = 2});
    // It still believes that it leads.
    CHECK(ads.cluster.node(stopped).machine().owned().ads->replica().leads());
    CHECK(ads.url(stopped, "b").empty());
    std::optional<catalog::Finding> found;
    finder.look_up("b", [&](catalog::Finding finding) { found = std::move(finding); });
    const auto is_found = [&] {
      finder.tick();
      return found.has_value();
    };
    REQUIRE(ads.run_until(is_found, 1'100));
    CHECK(found->kind == catalog::Finding::Kind::ad);
  }
}

TEST_CASE("ads: a shared catalog answers once this node has it", "[simulation][cluster][ads]") {
  Ads ads(8);
  ads.run(1'000);
  auto& shared = ads.cluster.node(1).ads();
  std::optional<Result<bool>> is_new;
  std::optional<Status> all;
  std::optional<Result<bool>> removed;
  std::atomic<bool> done{false};
  // Its callers are threads of the api.
  std::thread caller([&] {
    is_new = shared.put(ad_of("a", "1"));
    all = shared.put_all({ad_of("a", "2"), ad_of("b", "2")});
    removed = shared.remove("b");
    done = true;
  });
  while (!done) ads.run(10);
  caller.join();
  REQUIRE(is_new->has_value());
  CHECK(**is_new);
  REQUIRE(all->has_value());
  REQUIRE(removed->has_value());
  CHECK(**removed);
  CHECK(ads.all(1) == "a=2 ");
  CHECK(shared.put(ad_of("not an id", "1")).error().code() == Errc::invalid);
}

TEST_CASE("ads: what they need of the journal is copied forward, and the rest freed",
          "[simulation][cluster][ads]") {
  Ads ads(9);
  for (int i = 0; i < 20; ++i) REQUIRE(ads.wait(ads.put(0, ad_of("a", std::to_string(i)))));
  auto& machine = ads.cluster.node(0).machine();
  const uint64_t begun = machine.journal().current_file();
  Clients clients(1);
  for (uint64_t identity = 0; identity < 700; ++identity) {
    clients.send(ads.cluster.node(0), identity, EventMs(ads.cluster.clock.wall_ms()),
                 log::Lane::redirects);
    ads.run(50);
  }
  const uint64_t file_bytes = machine.journal().file_bytes();
  CHECK(machine.journal().current_file() > begun + 20);
  CHECK(machine.owned().ads->oldest_needed().value() / file_bytes > begun + 10);
  CHECK(ads.run_until([&] { return machine.journal().file_count() < 12; }));
  ads.settle();
  ads.cluster.die(0, true);
  REQUIRE_FALSE(ads.cluster.open(0));
  ads.settle();
  CHECK(ads.all(0) == "a=19 ");
}

}  // namespace
}  // namespace clickmill::simulation
