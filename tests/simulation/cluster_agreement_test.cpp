// Goal: a node whose counts are wrong is named by all, answers nothing of them, and puts them
// right. Method: a row of a dead node's state is falsified, as no checksum would show.

#include <catch2/catch.hpp>

#include "base/bytes.h"
#include "simulation/sim_cluster.h"
#include "store/row.h"

namespace clickmill::simulation {
namespace {

/// One click more in the newest row; the partition that it is of.
PartitionId falsify(SimNode& node) {
  auto image = node.state.snapshot();
  auto& rows = image.at(state::kRowsSpace);
  REQUIRE_FALSE(rows.empty());
  auto& [key, value] = *rows.rbegin();
  ByteCursor cursor(value);
  auto row = store::decode_row(cursor);
  REQUIRE(row);
  ++row->counts.devices[0];
  ++row->counts.clicks;
  value.clear();
  store::encode_row(*row, value);
  uint32_t slot = 0;
  for (size_t i = 0; i < 4; ++i) slot = slot << 8 | static_cast<uint8_t>(key[i]);
  node.state.restore(std::move(image));
  return state::Slot::of_number(slot).partition();
}

TEST_CASE("cluster: a node that counts otherwise is named, not asked, and begins anew",
          "[simulation][cluster]") {
  for (uint64_t seed = 0; seed < 3; ++seed) {
    CAPTURE(seed);
    SimCluster cluster(seed, {});
    Clients clients(seed);
    for (size_t i = 0; i < 3; ++i) REQUIRE_FALSE(cluster.open(i));
    const auto run = [&](int steps, const std::function<bool()>& until) {
      for (int step = 0; step < steps; ++step) {
        static uint64_t identity = 0;
        const size_t at = static_cast<size_t>(step) % 3;
        if (cluster.alive(at) && step % 2 == 0)
          clients.send(cluster.node(at), identity++, EventMs(cluster.clock.wall_ms()),
                       log::Lane::redirects);
        const auto problem = cluster.step();
        CAPTURE(problem.value_or(""));
        REQUIRE_FALSE(problem);
        if (until && until()) return true;
      }
      return false;
    };
    run(4'000, nullptr);
    cluster.die(2, false);
    cluster.expect_damage(2);
    const PartitionId id = falsify(cluster.node(2));
    REQUIRE_FALSE(cluster.open(2));
    const auto partition = [&]() -> const cluster::Partition& {
      return *cluster.node(2).partitions()[id.value()];
    };
    const auto names_it = [&](size_t at) {
      return cluster.node(at).machine().peers()->agreement().verdict(id).is_wrong("n3");
    };
    REQUIRE(run(6'000, [&] { return !partition().difference().empty(); }));
    CHECK(partition().why_no_answer());
    // The others know as soon as they have heard of it.
    REQUIRE(run(300, [&] { return names_it(0) && names_it(1); }));
    REQUIRE(run(3'000, [&] { return partition().difference().empty(); }));
    CHECK_FALSE(partition().why_no_answer());
    run(300, nullptr);
    CHECK(cluster.node(0).machine().peers()->agreement().warnings().empty());
    const auto problem = cluster.settle();
    CAPTURE(problem.value_or(""));
    REQUIRE_FALSE(problem);
    const auto wrong = cluster.check(clients);
    CAPTURE(wrong.value_or(""));
    CHECK_FALSE(wrong);
  }
}

}  // namespace
}  // namespace clickmill::simulation
