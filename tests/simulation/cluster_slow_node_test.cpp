// Goal: a node that is there, and is slow, stands still or tells the wrong time, holds up nobody
// but itself. Method: one of three has one such trouble for long; the others must lead what it
// led, and count what they are sent, within seconds.

#include <catch2/catch.hpp>

#include "simulation/loaded_cluster.h"

namespace clickmill::simulation {
namespace {

TEST_CASE("cluster: a node whose disk hangs leads nothing for long", "[simulation][cluster]") {
  for (uint64_t seed = 0; seed < 5; ++seed) {
    CAPTURE(seed);
    LoadedCluster life(seed);
    const size_t slow = *life.cluster.leader(0);
    life.cluster.stall_disk(slow, 30'000);
    CHECK(life.run(400, slow, [&] { return life.all_led_by_others_than(slow); }));
    CHECK(life.run(500, slow, [&] { return life.counted_but_at(slow); }));
    life.check();
  }
}

TEST_CASE("cluster: where all disks hang, somebody leads when they don't any more",
          "[simulation][cluster]") {
  for (uint64_t seed = 0; seed < 5; ++seed) {
    CAPTURE(seed);
    LoadedCluster life(seed);
    for (size_t i = 0; i < 3; ++i) life.cluster.stall_disk(i, 5'000);
    life.run(500, 3);
    CHECK(life.run(300, 3, [&] { return life.all_led_by_others_than(3); }));
    CHECK(life.run(300, 3, [&] { return life.counted_but_at(3); }));
    life.check();
  }
}

TEST_CASE("cluster: what waits for a disk that hangs is noticed", "[simulation][cluster]") {
  LoadedCluster life(1, {.careless = {.disk_may_hang = true}});
  const size_t slow = *life.cluster.leader(0);
  life.cluster.stall_disk(slow, 30'000);
  life.run(400, slow);
  CHECK_FALSE(life.run(500, slow, [&] { return life.counted_but_at(slow); }));
}

TEST_CASE("cluster: nodes that stand still for less than a silence elect nobody",
          "[simulation][cluster]") {
  const auto elections = [](Careless careless) {
    LoadedCluster life(1, {.careless = careless});
    const uint64_t before = life.cluster.elections();
    for (int i = 0; i < 30; ++i) {
      // One alone would win no pre-vote: their machines stand still together.
      for (size_t at = 0; at < 3; ++at) life.cluster.pause(at, 400);
      life.run(100, 3);
    }
    return life.cluster.elections() - before;
  };
  CHECK(elections({}) == 0);
  CHECK(elections({.pause_is_silence = true}) > 0);
}

TEST_CASE("cluster: a node whose clock is believed to be ahead holds nobody up",
          "[simulation][cluster]") {
  const int64_t off_ms = GENERATE(2 * kHourMs, 400 * kDayMs);
  for (uint64_t seed = 0; seed < 3; ++seed) {
    CAPTURE(seed, off_ms);
    LoadedCluster life(seed);
    const size_t ahead = *life.cluster.leader(0);
    life.cluster.clock_of(ahead).set(off_ms, true);
    CHECK(life.run(400, 3, [&] { return life.all_led_by_others_than(ahead); }));
    const uint64_t elections = life.cluster.elections();
    life.run(2'000, 3);
    CHECK(life.cluster.elections() == elections);
    CHECK(life.counted_but_at(ahead));
    // Its own wait until time has caught up.
    CHECK(life.cluster.node(ahead).machine().spool().held_clicks() > 500);
    if (off_ms < kDayMs) life.check();
  }
}

TEST_CASE("cluster: a log begins no later than what waits at a node that is away",
          "[simulation][cluster]") {
  for (uint64_t seed = 0; seed < 5; ++seed) {
    CAPTURE(seed);
    SimCluster cluster(seed, {});
    Clients clients(seed);
    uint64_t identity = 0;
    const auto run = [&](int steps, size_t to) {
      for (int step = 0; step < steps; ++step) {
        clients.send(cluster.node(to), identity++, EventMs(cluster.clock.wall_ms()),
                     log::Lane::redirects);
        REQUIRE_FALSE(cluster.step());
      }
    };
    REQUIRE_FALSE(cluster.open(1));
    run(100, 1);
    cluster.die(1, false);
    // Hours later the others begin without it.
    cluster.clock.advance_ms(2 * kHourMs);
    REQUIRE_FALSE(cluster.open(0));
    REQUIRE_FALSE(cluster.open(2));
    run(1'000, 0);
    REQUIRE_FALSE(cluster.open(1));
    const auto problem = cluster.settle();
    CAPTURE(problem.value_or(""));
    REQUIRE_FALSE(problem);
    const auto wrong = cluster.check(clients);
    CAPTURE(wrong.value_or(""));
    CHECK_FALSE(wrong);
    CHECK(cluster.node(0).total().review_total() == 0);
  }
}

TEST_CASE("cluster: clicks for a partition whose log can't be used here go to who leads it",
          "[simulation][cluster]") {
  LoadedCluster life(1);
  // Some stand in the spool of a node whose disk is slow, then it is killed.
  life.cluster.network().break_link(0, 2, 2'000);
  life.cluster.network().break_link(1, 2, 2'000);
  life.run(100, 0);
  life.cluster.die(2, false);
  SimNode& node = life.cluster.node(2);
  REQUIRE(write_file_atomically(node.files, SimNode::paths().members(0), "rotten"));
  life.cluster.expect_damage(2);
  REQUIRE_FALSE(life.cluster.open(2));
  REQUIRE(node.partitions()[0]->log_closed());
  CHECK(node.machine().spool().held_clicks() > 20);
  CHECK(life.run(1'000, 2, [&] { return node.machine().spool().held_clicks() == 0; }));
  life.run(100, 3);
  CHECK(life.run(300, 2, [&] { return node.machine().spool().held_clicks() == 0; }));
  CHECK(node.partitions()[0]->log_closed());
}

}  // namespace
}  // namespace clickmill::simulation
