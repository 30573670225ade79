// Goal: three nodes, of which any may die, pause, lose its links or its disk's last writes:
// every click that one of them acknowledged ends exactly once in the log of every node, and
// all of them agree on what it says. Method: random lives of the product's Machines, watched
// from outside at every step (SimCluster), then healed and compared with the clients' record.
// Fault model: SimCluster's.

#include <catch2/catch.hpp>
#include <cstdlib>

#include "simulation/life.h"

namespace clickmill::simulation {
namespace {

TEST_CASE("cluster: three nodes elect, take clicks at any of them, and agree",
          "[simulation][cluster]") {
  SimCluster cluster(1, {});
  Clients clients(1);
  for (size_t i = 0; i < 3; ++i) REQUIRE_FALSE(cluster.open(i));
  for (int step = 0; step < 500; ++step) {
    if (step > 100 && step % 3 == 0)
      clients.send(cluster.node(static_cast<size_t>(step) % 3), static_cast<uint64_t>(step),
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
  CHECK(clients.acknowledged().size() > 100);
  // One each, since nothing went wrong.
  CHECK(cluster.elections() == 3);
}

/// CLICKMILL_SEED and CLICKMILL_LIVES say which and how many; for hours, or for one that failed.
TEST_CASE("cluster: many lives", "[.soak]") {
  const char* const first = std::getenv("CLICKMILL_SEED");
  const char* const count = std::getenv("CLICKMILL_LIVES");
  const uint64_t begin = first == nullptr ? 0 : std::stoull(first);
  const uint64_t end = begin + (count == nullptr ? 1000 : std::stoull(count));
  for (uint64_t seed = begin; seed < end; ++seed) {
    for (const std::string kind :
         {"plain", "disk lost", "clock wrong", "away", "away, clock wrong"}) {
      const bool disk_lost = kind == "disk lost";
      const bool away = kind.starts_with("away");
      Life life(seed,
                disk_lost ? waiting_for_commit(seed) : SimCluster::Options{.short_logs = away});
      if (disk_lost) life.lose_clicks();
      if (away) life.stay_away();
      if (kind.ends_with("wrong")) life.tell_wrong_time();
      if (seed % 2 == 0) life.start_again();
      const auto problem = life.go(2000);
      CAPTURE(seed, kind, problem.value_or(""));
      CHECK_FALSE(problem);
    }
  }
}

TEST_CASE("cluster: a node whose disk is lost comes back by itself, and votes again",
          "[simulation][cluster]") {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    SimCluster cluster(seed, {});
    Clients clients(seed);
    for (size_t i = 0; i < 3; ++i) REQUIRE_FALSE(cluster.open(i));
    const auto run = [&](int steps, size_t but) {
      static uint64_t identity = 0;
      for (int step = 0; step < steps; ++step) {
        const size_t at = static_cast<size_t>(step) % 3;
        if (at != but) {
          clients.send(cluster.node(at), identity++, EventMs(cluster.clock.wall_ms()),
                       log::Lane::redirects);
        }
        const auto problem = cluster.step();
        CAPTURE(seed, problem.value_or(""));
        REQUIRE_FALSE(problem);
      }
    };
    run(1'000, 2);
    // Blocks end by the hour too: what it lacks is in no leader's memory any more.
    for (int hours = 0; hours < 3; ++hours) {
      cluster.clock.advance_ms(kHourMs);
      run(300, 2);
    }
    cluster.wipe(2);
    REQUIRE_FALSE(cluster.open(2));
    run(1'000, 2);
    const auto problem = cluster.settle();
    CAPTURE(seed, problem.value_or(""));
    REQUIRE_FALSE(problem);
    const auto wrong = cluster.check(clients);
    CAPTURE(wrong.value_or(""));
    REQUIRE_FALSE(wrong);
    for (const auto& partition : cluster.node(2).partitions()) {
      CHECK(partition->replica().core().membership().is_voter(raft::StorageId(4)));
      CHECK_FALSE(partition->replica().core().membership().contains(raft::StorageId(3)));
      CHECK(partition->segments().last() > Offset(0));
    }
    // Two of three may go now, and the third's word still counts.
    cluster.die(0, true);
    run(1'000, 0);
    CHECK(cluster.leader(0));
    CHECK(cluster.leader(1));
  }
}

TEST_CASE("cluster: with durability replicated calm nodes answer before the deadline",
          "[simulation][cluster]") {
  SimCluster cluster(1, {.answers_wait_for_commit = true});
  Clients clients(1);
  clients.answer_when_committed(cluster.clock);
  for (size_t i = 0; i < 3; ++i) REQUIRE_FALSE(cluster.open(i));
  uint64_t sent = 0;
  for (int step = 0; step < 600; ++step) {
    if (step > 200 && step < 500)
      clients.send(cluster.node(static_cast<size_t>(step) % 3), sent++,
                   EventMs(cluster.clock.wall_ms()), log::Lane::redirects);
    REQUIRE_FALSE(cluster.step());
  }
  CHECK(clients.acknowledged().size() == sent);
  CHECK(clients.unreplicated() == 0);
}

TEST_CASE("cluster: with durability replicated an acknowledged click survives any one disk",
          "[simulation][cluster]") {
  uint64_t acknowledged = 0;
  uint64_t unreplicated = 0;
  uint64_t lost = 0;
  constexpr uint64_t kLives = lives(200);
  for (uint64_t seed = 0; seed < kLives; ++seed) {
    Life life(seed, waiting_for_commit(seed));
    life.lose_clicks();
    const auto problem = life.go(2600);
    CAPTURE(seed, problem.value_or(""));
    REQUIRE_FALSE(problem);
    acknowledged += life.clients().acknowledged().size();
    unreplicated += life.clients().unreplicated();
    lost += life.lost();
  }
  CAPTURE(acknowledged, unreplicated, lost);
  CHECK(acknowledged > kLives * 100);
  // There was something to lose, and to wait for in vain.
  CHECK(unreplicated > kLives * 10);
  CHECK(lost > kLives);
}

TEST_CASE("cluster: with durability synced what stood in the spool of a lost disk is lost",
          "[simulation][cluster]") {
  // That the lives above notice: the same ones, acknowledged at the sync.
  uint64_t noticed = 0;
  for (uint64_t seed = 0; seed < 40 && noticed == 0; ++seed) {
    SimCluster::Options options = waiting_for_commit(seed);
    options.answers_wait_for_commit = false;
    Life life(seed, options);
    life.lose_clicks();
    const auto problem = life.go(2000);
    if (!problem) continue;
    CAPTURE(seed, *problem);
    CHECK(problem->find("was acknowledged and is not in the log") != std::string::npos);
    ++noticed;
  }
  CHECK(noticed == 1);
}

TEST_CASE("cluster: lives of three nodes", "[simulation][cluster]") {
  uint64_t acknowledged = 0;
  uint64_t ads = 0;
  uint64_t elections = 0;
  constexpr uint64_t kLives = lives(400);
  for (uint64_t seed = 0; seed < kLives; ++seed) {
    Life life(seed, {});
    if (seed % 4 == 0) life.start_again();
    const auto problem = life.go(2000);
    CAPTURE(seed, problem.value_or(""));
    REQUIRE_FALSE(problem);
    acknowledged += life.clients().acknowledged().size();
    ads += life.ad_clients().acknowledged();
    elections += life.cluster().elections();
  }
  CHECK(acknowledged > kLives * 300);
  CHECK(ads > kLives * 20);
  CHECK(elections > kLives * 4);
}

TEST_CASE("cluster: a seed repeats a life", "[simulation][cluster]") {
  const auto trace = [](uint64_t seed) {
    Life life(seed, {});
    life.tell_wrong_time();
    REQUIRE_FALSE(life.go(2000));
    return life.cluster().trace();
  };
  for (uint64_t seed = 0; seed < lives(10); ++seed) CHECK(trace(seed) == trace(seed));
}

TEST_CASE("cluster: lives in which a clock is seconds, hours or a year off",
          "[simulation][cluster]") {
  const char* const first = std::getenv("CLICKMILL_SEED");
  const char* const count = std::getenv("CLICKMILL_LIVES");
  const uint64_t begin = first == nullptr ? 0 : std::stoull(first);
  const uint64_t kLives = count == nullptr ? lives(300) : std::stoull(count);
  uint64_t acknowledged = 0;
  uint64_t wrong_times = 0;
  for (uint64_t seed = begin; seed < begin + kLives; ++seed) {
    Life life(seed, {});
    life.tell_wrong_time();
    const auto problem = life.go(2000);
    CAPTURE(seed, problem.value_or(""));
    REQUIRE_FALSE(problem);
    acknowledged += life.clients().acknowledged().size();
    wrong_times += life.wrong_times();
  }
  CHECK(acknowledged > kLives * 300);
  CHECK(wrong_times > kLives * 5);
}

/// Everybody's log has lost its beginning, and nothing of what is sealed is older than two hours.
void pass_hours(SimCluster& cluster, Clients& clients, size_t but, uint64_t& identity) {
  for (int hours = 0; hours < 4; ++hours) {
    cluster.clock.advance_ms(kHourMs);
    for (int step = 0; step < 300; ++step) {
      const size_t at = static_cast<size_t>(step) % cluster.size();
      if (at != but && cluster.alive(at)) {
        // Every fifth was clicked before.
        const uint64_t which = step % 5 == 4 && identity > 40 ? identity - 40 : identity++;
        clients.send(cluster.node(at), which, EventMs(cluster.clock.wall_ms()),
                     log::Lane::redirects);
      }
      const auto problem = cluster.step();
      CAPTURE(problem.value_or(""));
      REQUIRE_FALSE(problem);
    }
  }
}

void check_agreed(SimCluster& cluster, const Clients& clients) {
  const auto problem = cluster.settle();
  CAPTURE(problem.value_or(""));
  REQUIRE_FALSE(problem);
  const auto wrong = cluster.check(clients);
  CAPTURE(wrong.value_or(""));
  REQUIRE_FALSE(wrong);
}

TEST_CASE("cluster: a node that was away longer than the others' logs reach back takes a state",
          "[simulation][cluster]") {
  for (uint64_t seed = 0; seed < 6; ++seed) {
    const bool wiped = seed % 2 == 0;
    CAPTURE(seed, wiped);
    SimCluster cluster(seed, {.short_logs = true});
    Clients clients(seed);
    uint64_t identity = 0;
    for (size_t i = 0; i < 3; ++i) REQUIRE_FALSE(cluster.open(i));
    pass_hours(cluster, clients, 3, identity);
    cluster.die(2, true);
    if (wiped) cluster.wipe(2);
    pass_hours(cluster, clients, 2, identity);
    for (const auto& partition : cluster.node(0).partitions())
      CHECK(partition->log().first() > Offset(1));
    REQUIRE_FALSE(cluster.open(2));
    pass_hours(cluster, clients, 3, identity);
    check_agreed(cluster, clients);
    CHECK(cluster.states_taken() >= 2);
    // It counts alone with any one of them, and what was clicked before is known to it.
    cluster.die(seed % 4 < 2 ? 0 : 1, true);
    pass_hours(cluster, clients, 3, identity);
    check_agreed(cluster, clients);
  }
}

TEST_CASE("cluster: who gives a state keeps its log behind it until its taker has had the time",
          "[simulation][cluster]") {
  SimCluster cluster(3, {.short_logs = true});
  Clients clients(3);
  uint64_t identity = 0;
  for (size_t i = 0; i < 3; ++i) REQUIRE_FALSE(cluster.open(i));
  pass_hours(cluster, clients, 3, identity);
  cluster.wipe(2);
  pass_hours(cluster, clients, 2, identity);
  REQUIRE_FALSE(cluster.open(2));
  for (int step = 0; step < 6'000 && cluster.states_taken() < 2; ++step)
    REQUIRE_FALSE(cluster.step());
  REQUIRE(cluster.states_taken() == 2);
  const auto held_from = [&](size_t giver, uint32_t id) {
    return cluster.node(giver).machine().peers()->states().held_from(PartitionId(id));
  };
  for (uint32_t id = 0; id < 2; ++id) {
    const Offset behind = cluster.node(2).partitions()[id]->log().first();
    CHECK((held_from(0, id) == behind || held_from(1, id) == behind));
  }
  cluster.clock.advance_ms(11 * kMinuteMs);
  for (int step = 0; step < 20; ++step) REQUIRE_FALSE(cluster.step());
  for (size_t giver = 0; giver < 2; ++giver) {
    for (uint32_t id = 0; id < 2; ++id) CHECK_FALSE(held_from(giver, id));
  }
}

TEST_CASE("cluster: a partition whose state is damaged, and whose log is short, takes another's",
          "[simulation][cluster]") {
  for (uint64_t seed = 0; seed < 4; ++seed) {
    CAPTURE(seed);
    SimCluster cluster(seed, {.short_logs = true});
    Clients clients(seed);
    uint64_t identity = 0;
    for (size_t i = 0; i < 3; ++i) REQUIRE_FALSE(cluster.open(i));
    pass_hours(cluster, clients, 3, identity);
    pass_hours(cluster, clients, 3, identity);
    cluster.die(2, seed % 2 == 0);
    state::Batch damage;
    damage.put(state::kMetaSpace, stream::checkpoint_key(state::Slot(PartitionId(0))), "rotten");
    REQUIRE(cluster.node(2).state.commit(damage, true));
    cluster.expect_damage(2);
    REQUIRE_FALSE(cluster.open(2));
    CHECK(cluster.node(2).partitions()[0]->lost());
    pass_hours(cluster, clients, 3, identity);
    check_agreed(cluster, clients);
    CHECK_FALSE(cluster.node(2).partitions()[0]->lost());
    CHECK(cluster.states_taken() == 1);
  }
}

TEST_CASE("cluster: one node whose log has lost its beginning becomes three",
          "[simulation][cluster]") {
  for (uint64_t seed = 0; seed < 4; ++seed) {
    CAPTURE(seed);
    SimCluster cluster(seed, {.founders = 1, .short_logs = true});
    Clients clients(seed);
    uint64_t identity = 0;
    REQUIRE_FALSE(cluster.open(0));
    pass_hours(cluster, clients, 3, identity);
    pass_hours(cluster, clients, 3, identity);
    for (const auto& partition : cluster.node(0).partitions())
      CHECK(partition->log().first() > Offset(1));
    REQUIRE_FALSE(cluster.open(1));
    REQUIRE_FALSE(cluster.open(2));
    pass_hours(cluster, clients, 3, identity);
    check_agreed(cluster, clients);
    CHECK(cluster.states_taken() >= 4);
    for (const auto& partition : cluster.node(0).partitions())
      CHECK(partition->replica().core().membership().voters.size() == 3);
  }
}

TEST_CASE("cluster: a log that gives way to a state keeps what it acknowledged until then",
          "[simulation][cluster]") {
  // Its leader speaks of that meanwhile, and who lacks it would vote no more.
  Life life(2'000'011, {.short_logs = true});
  life.stay_away();
  const auto problem = life.go(2000);
  CAPTURE(problem.value_or(""));
  CHECK_FALSE(problem);
}

TEST_CASE("cluster: lives of nodes that are away for hours, while logs are short",
          "[simulation][cluster]") {
  const char* const first = std::getenv("CLICKMILL_SEED");
  const char* const count = std::getenv("CLICKMILL_LIVES");
  const uint64_t begin = first == nullptr ? 0 : std::stoull(first);
  const uint64_t end = begin + (count == nullptr ? lives(100) : std::stoull(count));
  uint64_t acknowledged = 0;
  uint64_t states = 0;
  uint64_t interrupted = 0;
  for (uint64_t seed = begin; seed < end; ++seed) {
    Life life(seed, {.short_logs = true});
    life.stay_away();
    const auto problem = life.go(2000);
    CAPTURE(seed, problem.value_or(""));
    REQUIRE_FALSE(problem);
    acknowledged += life.clients().acknowledged().size();
    states += life.cluster().states_taken();
    interrupted += life.cluster().states_interrupted();
  }
  CAPTURE(acknowledged, states, interrupted);
  CHECK(acknowledged > (end - begin) * 300);
  CHECK(states > end - begin);
  CHECK(interrupted > (end - begin) / 4);
}

}  // namespace
}  // namespace clickmill::simulation
