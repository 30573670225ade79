// Goal: five nodes, three copies of each partition: every click that any of them acknowledged, be
// it of a partition that it doesn't hold, ends exactly once in the log of its partition, whose
// holders agree on what it says. Fault model: nodes die, two at once too, pause, lose their links
// or their disk's last writes.

#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>

#include "simulation/sim_cluster.h"

namespace clickmill::simulation {
namespace {

SimCluster::Options five() {
  SimCluster::Options options;
  options.nodes = options.founders = 5;
  options.partitions = 5;
  options.copies = 3;
  return options;
}

class Life {
 public:
  Life(uint64_t seed, SimCluster::Options options)
      : random_(seed), clients_(seed), cluster_(seed, options) {}

  std::optional<std::string> go(int steps) {
    for (size_t i = 0; i < cluster_.size(); ++i) {
      if (auto problem = cluster_.open(i)) return problem;
    }
    cluster_.network().slow_down(1 + static_cast<int64_t>(random_.below(60)));
    if (random_.one_in(2)) cluster_.network().drop_one_in(20);
    for (int step = 0; step < steps; ++step) {
      if (random_.one_in(40)) {
        if (auto problem = trouble()) return problem;
      }
      if (random_.one_in(4)) send();
      if (auto problem = cluster_.step()) return problem;
      for (size_t i = 0; i < cluster_.size(); ++i) {
        if (!cluster_.alive(i) || !cluster_.node(i).journal_fails()) continue;
        cluster_.die(i, random_.one_in(2));
        if (auto problem = cluster_.open(i)) return problem;
      }
    }
    if (auto problem = cluster_.settle()) return problem;
    return cluster_.check(clients_);
  }
  const Clients& clients() const { return clients_; }
  SimCluster& cluster() { return cluster_; }

 private:
  void send() {
    const size_t at = random_.below(cluster_.size());
    if (!cluster_.alive(at)) return;
    for (uint64_t left = random_.one_in(8) ? random_.below(20) : 1; left > 0; --left) {
      const bool again = next_ > 0 && random_.one_in(6);
      const uint64_t identity =
          again ? next_ - 1 - random_.below(std::min<uint64_t>(next_, 20)) : next_++;
      clients_.send(cluster_.node(at), identity, EventMs(cluster_.clock.wall_ms()),
                    random_.one_in(3) ? log::Lane::bulk : log::Lane::redirects);
    }
  }

  std::optional<std::string> trouble() {
    const size_t at = random_.below(cluster_.size());
    const size_t other = (at + 1 + random_.below(cluster_.size() - 1)) % cluster_.size();
    switch (random_.below(7)) {
      case 0:
      case 1:
      case 2:
        if (!cluster_.alive(at)) return cluster_.open(at);
        cluster_.die(at, random_.one_in(2));
        if (random_.one_in(2)) return cluster_.open(at);
        break;
      case 3: cluster_.network().break_link(at, other, some_ms(5'000)); break;
      case 4: cluster_.network().heal(); break;
      case 5: cluster_.pause(at, some_ms(3'000)); break;
      default: cluster_.stall_disk(at, some_ms(2'000)); break;
    }
    return std::nullopt;
  }
  int64_t some_ms(int64_t most) {
    return static_cast<int64_t>(random_.below(static_cast<uint64_t>(most)));
  }

  Random random_;
  Clients clients_;
  SimCluster cluster_;
  uint64_t next_ = 0;
};

/// The first so many are all that the others know of; those are started anew.
void know(SimCluster& cluster, size_t count) {
  std::vector<std::string> names;
  for (size_t i = 0; i < count; ++i) names.push_back(SimNetwork::name_of(i));
  for (size_t i = 0; i < count; ++i) {
    if (cluster.alive(i)) cluster.die(i, false);
    cluster.node(i).set_nodes(names);
    REQUIRE_FALSE(cluster.open(i));
  }
}

/// Whether each partition is on three of these nodes, those that are named for it, and on no other.
bool is_placed(SimCluster& cluster, size_t count) {
  for (uint32_t p = 0; p < five().partitions; ++p) {
    const auto leads = cluster.leader(p);
    if (!leads) return false;
    const auto& placement = cluster.node(*leads).machine().peers()->placement();
    const auto& members = cluster.node(*leads).partitions()[p]->replica().core().membership();
    if (members.joint() || !members.learners.empty() || members.voters.size() != 3) return false;
    for (const raft::Member& member : members.voters) {
      if (!placement.holds(member.node, PartitionId(p))) return false;
    }
    for (size_t i = 0; i < count; ++i) {
      const auto& partition = *cluster.node(i).partitions()[p];
      const bool named = placement.holds(SimNetwork::name_of(i), PartitionId(p));
      if (named != partition.here() || partition.lingers()) return false;
      if (named && (partition.failure() || !partition.caught_up())) return false;
    }
  }
  return true;
}

}  // namespace

TEST_CASE("cluster: five nodes with three copies take clicks of everything at any of them",
          "[simulation][cluster]") {
  SimCluster cluster(1, five());
  Clients clients(1);
  for (size_t i = 0; i < 5; ++i) REQUIRE_FALSE(cluster.open(i));
  for (int step = 0; step < 500; ++step) {
    if (step > 100)
      clients.send(cluster.node(static_cast<size_t>(step) % 5), static_cast<uint64_t>(step),
                   EventMs(cluster.clock.wall_ms()), log::Lane::redirects);
    const auto problem = cluster.step();
    CAPTURE(problem.value_or(""));
    REQUIRE_FALSE(problem);
  }
  const auto problem = cluster.settle();
  CAPTURE(problem.value_or(""));
  REQUIRE_FALSE(problem);
  const auto wrong = cluster.check(clients);
  CAPTURE(wrong.value_or(""));
  CHECK_FALSE(wrong);
  CHECK(clients.acknowledged().size() > 300);
  // One for each partition and one for the ads.
  CHECK(cluster.elections() == 6);
  // Each has three fifths of it.
  for (size_t i = 0; i < 5; ++i) {
    const auto& partitions = cluster.node(i).partitions();
    CHECK(std::count_if(partitions.begin(), partitions.end(), [](const auto& partition) {
            return partition->log().last() != Offset(0);
          }) == 3);
  }
}

TEST_CASE("cluster: lives of five nodes with three copies", "[simulation][cluster]") {
  uint64_t acknowledged = 0;
  uint64_t elections = 0;
  for (uint64_t seed = 0; seed < 30; ++seed) {
    Life life(seed, five());
    const auto problem = life.go(2000);
    CAPTURE(seed, problem.value_or(""));
    REQUIRE_FALSE(problem);
    acknowledged += life.clients().acknowledged().size();
    elections += life.cluster().elections();
  }
  CHECK(acknowledged > 30 * 300);
  CHECK(elections > 30 * 8);
}

TEST_CASE("cluster: what a node has let go of comes back to it whole", "[simulation][cluster]") {
  uint64_t states = 0;
  for (uint64_t seed = 0; seed < 6; ++seed) {
    SimCluster cluster(seed, five());
    Clients clients(seed);
    for (size_t i = 0; i < 5; ++i) REQUIRE_FALSE(cluster.open(i));
    uint64_t identity = 0;
    size_t there = 5;
    const auto run = [&](const std::function<bool()>& done, bool clicks) {
      for (int step = 0; step < 300 || (step < 8'000 && !done()); ++step) {
        if (clicks && step % 3 == 0)
          clients.send(cluster.node(static_cast<size_t>(step / 3) % there), identity++,
                       EventMs(cluster.clock.wall_ms()), log::Lane::redirects);
        for (size_t i = 0; there == 4 && i < there; ++i)
          ignore(cluster.node(i).machine().peers()->let_go("n5"), "its config doesn't name it");
        const auto problem = cluster.step();
        CAPTURE(seed, there, problem.value_or(""));
        REQUIRE_FALSE(problem);
      }
      CAPTURE(seed, there);
      REQUIRE(done());
    };
    const auto placed = [&] { return is_placed(cluster, there); };
    const auto is_empty = [&] { return cluster.node(4).machine().spool().held_clicks() == 0; };
    for (int turn = 0; turn < 2; ++turn) {
      run(placed, true);
      run(is_empty, false);
      cluster.die(4, false);
      there = 4;
      know(cluster, 4);
      run(placed, true);
      // What the four took over goes to the fifth again, and next turn it comes back.
      cluster.wipe(4);
      there = 5;
      know(cluster, 5);
    }
    run(placed, true);
    const auto problem = cluster.settle();
    CAPTURE(seed, problem.value_or(""));
    REQUIRE_FALSE(problem);
    const auto wrong = cluster.check(clients);
    CAPTURE(wrong.value_or(""));
    CHECK_FALSE(wrong);
    states += cluster.states_taken();
  }
  CHECK(states > 0);
}

TEST_CASE("cluster: partitions move to nodes that come later, and leave nothing behind",
          "[simulation][cluster]") {
  uint64_t acknowledged = 0;
  uint64_t states = 0;
  for (uint64_t seed = 0; seed < 30; ++seed) {
    SimCluster::Options options = five();
    // All of it was on one node, or on three of four.
    options.founders = seed % 3 == 0 ? 1 : 4;
    options.short_logs = seed % 2 == 0;
    Life life(seed, options);
    const auto problem = life.go(1500);
    CAPTURE(seed, problem.value_or(""));
    REQUIRE_FALSE(problem);
    acknowledged += life.clients().acknowledged().size();
    states += life.cluster().states_taken();
  }
  CHECK(acknowledged > 30 * 200);
  CAPTURE(states);
}

}  // namespace clickmill::simulation
