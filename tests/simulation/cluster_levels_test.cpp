// Goal: a cluster goes from one version to the next a node at a time, and back, until its feature
// level has risen; then it doesn't, and whoever tries is told so on both sides. Every click counts
// once all the while. Method: a version is the range of levels that a node runs; those of a node
// change with a restart, among all sorts of troubles.

#include <catch2/catch.hpp>
#include <functional>

#include "simulation/life.h"
#include "simulation/sim_cluster.h"

namespace clickmill::simulation {
namespace {

constexpr FeatureLevels kOld{1, 1};
constexpr FeatureLevels kNew{1, 2};
constexpr FeatureLevels kNext{2, 3};

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

class Upgraded {
 public:
  explicit Upgraded(uint64_t seed, FeatureLevels levels = kOld)
      : clients_(seed), cluster(seed, {.levels = levels}) {
    for (size_t i = 0; i < cluster.size(); ++i) REQUIRE_FALSE(cluster.open(i));
  }
  /// Until that holds, or so many steps have passed; clicks come to all nodes.
  bool run(int steps, const std::function<bool()>& until = nullptr) {
    for (int step = 0; step < steps; ++step) {
      const size_t at = static_cast<size_t>(step) % cluster.size();
      if (step % 5 == 0 && cluster.alive(at))
        clients_.send(cluster.node(at), identity_++, EventMs(cluster.clock.wall_ms()),
                      log::Lane::redirects);
      const auto problem = cluster.step();
      CAPTURE(problem.value_or(""));
      REQUIRE_FALSE(problem);
      if (until && until()) return true;
    }
    return false;
  }
  void install(size_t at, FeatureLevels levels, FeatureLevel hold = 0) {
    const auto problem = cluster.restart_with(at, levels, hold);
    CAPTURE(problem.value_or(""));
    REQUIRE_FALSE(problem);
  }
  const cluster::Peers& peers(size_t at) { return *cluster.node(at).machine().peers(); }
  bool all_know(FeatureLevel level) {
    for (size_t i = 0; i < cluster.size(); ++i) {
      if (!cluster.alive(i) || peers(i).levels().recorded() != level) return false;
    }
    return true;
  }
  bool counted_at(size_t at) { return cluster.node(at).machine().spool().held_clicks() < 6; }
  /// What keeps the level from rising, as the node sees it.
  std::string waits(size_t at) {
    std::string out;
    for (const auto& [node, of] : peers(at).levels().view(peers(at).now_ns()).nodes) {
      if (!of.waits.empty()) out += node + " " + of.waits + "; ";
    }
    return out;
  }
  void check() {
    const auto problem = cluster.settle();
    CAPTURE(problem.value_or(""));
    REQUIRE_FALSE(problem);
    const auto wrong = cluster.check(clients_);
    CAPTURE(wrong.value_or(""));
    REQUIRE_FALSE(wrong);
  }

 private:
  Clients clients_;
  uint64_t identity_ = 0;

 public:
  SimCluster cluster;
};

}  // namespace

TEST_CASE("cluster: its level rises once all nodes have run a version for a while",
          "[simulation]") {
  const uint64_t seed = GENERATE(range(1, 6));
  CAPTURE(seed);
  Upgraded of(seed);
  of.run(200);
  for (size_t i = 0; i < 3; ++i) {
    CHECK(of.all_know(0));
    of.install(i, kNew);
    of.run(500);
  }
  // Three seconds after the last one.
  CHECK(of.run(300, [&] { return of.all_know(2); }));
  CHECK(of.waits(0).empty());
  of.check();
  // What the log says holds over a start of all.
  for (size_t i = 0; i < 3; ++i) of.cluster.die(i, false);
  for (size_t i = 0; i < 3; ++i) REQUIRE_FALSE(of.cluster.open(i));
  CHECK(of.run(300, [&] { return of.all_know(2); }));
  // On to a version that the first one knows nothing of.
  for (size_t i = 0; i < 3; ++i) of.install(i, kNext), of.run(200);
  CHECK(of.run(600, [&] { return of.all_know(3); }));
  of.check();
}

TEST_CASE("cluster: a node can go back until the level has risen", "[simulation]") {
  const uint64_t seed = GENERATE(range(1, 6));
  CAPTURE(seed);
  Upgraded of(seed);
  of.run(100);
  for (size_t i = 0; i < 3; ++i) of.install(i, kNew), of.run(i < 2 ? 600 : 200);
  // Two and a half seconds at most.
  REQUIRE(of.all_know(0));
  of.install(1, kOld);
  of.run(1'000);
  CHECK(of.all_know(0));
  CHECK(of.waits(0) == "n2 runs 1 at most; ");
  CHECK(of.waits(2) == "n2 runs 1 at most; ");
  for (size_t i = 0; i < 3; ++i) of.install(i, kOld), of.run(100);
  of.run(600);
  CHECK(of.all_know(0));
  of.check();
}

TEST_CASE("cluster: a node that goes back afterwards is refused, and counts when it is right again",
          "[simulation]") {
  const uint64_t seed = GENERATE(range(1, 6));
  CAPTURE(seed);
  Upgraded of(seed, kNew);
  REQUIRE(of.run(2'000, [&] { return of.all_know(2); }));
  of.install(2, kOld);
  REQUIRE(of.run(500, [&] { return !of.peers(2).misfit().empty(); }));
  CHECK(contains(of.peers(2).misfit(), "runs feature level 1, and the cluster is at 2"));
  REQUIRE(of.peers(0).misfits().size() == 1);
  CHECK(contains(of.peers(0).misfits()[0], "n3 is not let in: n3 (version"));
  CHECK(contains(of.peers(0).misfits()[0], "runs feature level 1, and the cluster is at 2"));
  CHECK(of.peers(0).misfit().empty());
  // The others go on, and it keeps what it answers.
  of.run(1'000);
  CHECK(of.counted_at(0));
  CHECK(of.counted_at(1));
  CHECK_FALSE(of.counted_at(2));
  of.install(2, kNew);
  CHECK(of.run(1'000, [&] { return of.all_know(2); }));
  CHECK(of.peers(0).misfits().empty());
  of.check();
}

TEST_CASE("cluster: a node that goes back in the moment in which the level rises is refused",
          "[simulation]") {
  const uint64_t seed = GENERATE(range(1, 11));
  CAPTURE(seed);
  Upgraded of(seed, kNew);
  const auto appended = [&] {
    const auto leads = of.cluster.leader(of.cluster.ads());
    if (!leads) return false;
    const log::PartitionLog& log = of.cluster.node(*leads).machine().owned().ads->log();
    if (log.last() == log.committed()) return false;
    const auto entries = log.read(log.last(), 1);
    return entries && entries->back()->kind == cluster::kLevelKind;
  };
  REQUIRE(of.run(2'000, appended));
  const size_t at = (*of.cluster.leader(of.cluster.ads()) + 1) % 3;
  of.install(at, kOld);
  REQUIRE(of.run(1'000, [&] { return !of.peers(at).misfit().empty(); }));
  of.run(500);
  CHECK(of.peers((at + 1) % 3).levels().recorded() == 2);
  CHECK(of.counted_at((at + 1) % 3));
  CHECK(of.counted_at((at + 2) % 3));
  of.install(at, kNew);
  of.check();
}

TEST_CASE("cluster: where most go back afterwards all stands until they are right again",
          "[simulation]") {
  Upgraded of(7, kNew);
  REQUIRE(of.run(2'000, [&] { return of.all_know(2); }));
  of.install(1, kOld);
  of.install(2, kOld);
  REQUIRE(of.run(1'000,
                 [&] { return !of.peers(1).misfit().empty() && !of.peers(2).misfit().empty(); }));
  of.run(500);
  for (size_t i = 0; i < 3; ++i) CHECK_FALSE(of.counted_at(i));
  of.install(2, kNew);
  of.run(500);
  CHECK(of.counted_at(0));
  of.install(1, kNew);
  of.check();
}

TEST_CASE("cluster: all of an earlier version that start on a later one's data count nothing",
          "[simulation]") {
  Upgraded of(3, kNew);
  REQUIRE(of.run(2'000, [&] { return of.all_know(2); }));
  for (size_t i = 0; i < 3; ++i) of.cluster.die(i, false);
  for (size_t i = 0; i < 3; ++i) of.install(i, kOld);
  REQUIRE(of.run(1'000, [&] { return !of.peers(0).misfit().empty(); }));
  of.run(1'000);
  for (size_t i = 0; i < 3; ++i) {
    CHECK(contains(of.peers(i).misfit(), "runs feature level 1, and the cluster is at 2"));
    CHECK_FALSE(of.counted_at(i));
  }
  for (size_t i = 0; i < 3; ++i) of.cluster.die(i, false);
  for (size_t i = 0; i < 3; ++i) of.install(i, kNew);
  of.check();
}

TEST_CASE("cluster: an empty node whose version can't run the level is not taken in",
          "[simulation]") {
  const auto [levels, says] = GENERATE(table<FeatureLevels, std::string>({
      {kOld, "runs feature level 1, and the cluster is at 2"},
      {{3, 4}, "runs feature levels 3 to 4, and the cluster is at 2"},
  }));
  Upgraded of(11, kNew);
  REQUIRE(of.run(2'000, [&] { return of.all_know(2); }));
  of.cluster.wipe(2);
  of.install(2, levels);
  REQUIRE(of.run(500, [&] { return !of.peers(2).misfit().empty(); }));
  CHECK(contains(of.peers(2).misfit(), says));
  of.run(1'000);
  CHECK(of.peers(2).levels().recorded() == 0);
  CHECK(of.counted_at(0));
  of.install(2, kNext);
  of.check();
}

TEST_CASE("cluster: an operator holds the level, and lets it go while all run", "[simulation]") {
  Upgraded of(5);
  of.run(100);
  for (size_t i = 0; i < 3; ++i)
    of.install(i, kNew, i == 1 ? kOld.highest : FeatureLevel{}), of.run(100);
  of.run(1'000);
  CHECK(of.all_know(0));
  CHECK(of.waits(0) == "n2 holds it at 1 (cluster.hold_feature_level); ");
  of.cluster.node(1).machine().peers()->hold_level(0);
  CHECK(of.run(600, [&] { return of.all_know(2); }));
  // Later it holds nothing.
  of.cluster.node(1).machine().peers()->hold_level(1);
  of.run(300);
  CHECK(of.all_know(2));
  of.check();
}

TEST_CASE("cluster: versions come and go among other troubles, and every click counts once",
          "[simulation]") {
  uint64_t risen = 0;
  uint64_t refused = 0;
  for (uint64_t seed = 1; seed <= lives(40); ++seed) {
    CAPTURE(seed);
    Random random(seed);
    Clients clients(seed);
    SimCluster cluster(seed, {.levels = kOld});
    const auto goes_well = [&](const std::optional<std::string>& problem) {
      CAPTURE(problem.value_or(""));
      REQUIRE_FALSE(problem);
    };
    for (size_t i = 0; i < 3; ++i) goes_well(cluster.open(i));
    cluster.network().slow_down(1 + static_cast<int64_t>(random.below(60)));
    if (random.one_in(2)) {
      for (size_t i = 0; i < 3; ++i) goes_well(cluster.restart_with(i, kNew));
    }
    uint64_t identity = 0;
    bool refuses = false;
    for (int step = 0; step < 3'000; ++step) {
      const size_t at = random.below(3);
      if (random.one_in(4) && cluster.alive(at))
        clients.send(cluster.node(at), identity++, EventMs(cluster.clock.wall_ms()),
                     log::Lane::redirects);
      if (random.one_in(250)) {
        const FeatureLevels levels = random.one_in(3) ? kOld : kNew;
        if (random.one_in(2)) {
          goes_well(cluster.restart_with(at, levels));
        } else if (!cluster.alive(at)) {
          goes_well(cluster.open(at));
        } else {
          cluster.die(at, random.one_in(2));
        }
      }
      if (random.one_in(200)) cluster.network().break_link(at, (at + 1) % 3, 1'000);
      goes_well(cluster.step());
      for (size_t i = 0; i < 3; ++i) {
        if (!cluster.alive(i)) continue;
        refuses = refuses || !cluster.node(i).machine().peers()->misfit().empty();
        if (!cluster.node(i).journal_fails()) continue;
        cluster.die(i, false);
        goes_well(cluster.open(i));
      }
    }
    refused += refuses ? 1 : 0;
    cluster.network().heal();
    for (size_t i = 0; i < 3; ++i) goes_well(cluster.restart_with(i, kNew));
    const auto all_know = [&] {
      for (size_t i = 0; i < 3; ++i) {
        if (cluster.node(i).machine().peers()->levels().recorded() != 2) return false;
      }
      return true;
    };
    for (int step = 0; step < 3'000 && !all_know(); ++step) goes_well(cluster.step());
    risen += all_know() ? 1 : 0;
    goes_well(cluster.settle());
    goes_well(cluster.check(clients));
  }
  CHECK(risen == lives(40));
  // Of the few lives under sanitizers it may be in none.
  if (lives(40) == 40) CHECK(refused > 0);
}

}  // namespace clickmill::simulation
