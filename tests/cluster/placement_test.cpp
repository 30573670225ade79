#include "cluster/placement.h"

#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <set>

namespace clickmill::cluster {
namespace {

std::vector<std::string> named(size_t count) {
  std::vector<std::string> nodes;
  for (size_t i = 1; i <= count; ++i) nodes.push_back(fmt::format("n{}", i));
  return nodes;
}

/// Copies that another placement has elsewhere.
size_t moved(const Placement& from, const Placement& to, uint32_t partitions) {
  size_t moves = 0;
  for (uint32_t id = 0; id < partitions; ++id) {
    for (const std::string& node : to.replicas(PartitionId(id)))
      moves += from.holds(node, PartitionId(id)) ? 0 : 1;
  }
  return moves;
}

}  // namespace

TEST_CASE("placement: each partition on as many nodes as asked for, loads within one",
          "[cluster]") {
  for (const size_t nodes : {4, 5, 6, 7, 9, 16, 40, 64}) {
    for (const uint32_t partitions : {1, 2, 7, 64, 256}) {
      for (const uint32_t copies : {1, 3, 5}) {
        if (copies >= nodes) continue;
        const Placement placement(named(nodes), partitions, copies);
        CHECK(placement.partial());
        std::map<std::string, size_t> held;
        std::map<std::string, size_t> led;
        for (const std::string& node : named(nodes)) held[node] = led[node] = 0;
        for (uint32_t id = 0; id < partitions; ++id) {
          const auto& replicas = placement.replicas(PartitionId(id));
          REQUIRE(std::set<std::string>(replicas.begin(), replicas.end()).size() == copies);
          for (const std::string& node : replicas) ++held[node];
          ++led[replicas.front()];
        }
        const auto spread = [](const std::map<std::string, size_t>& of) {
          const auto [least, most] =
              std::ranges::minmax_element(of, {}, [](const auto& one) { return one.second; });
          return most->second - least->second;
        };
        INFO(nodes << " nodes, " << partitions << " partitions, " << copies << " copies");
        CHECK(spread(held) <= 1);
        CHECK(spread(led) <= 2);
        // The ads are everywhere.
        CHECK(placement.replicas(PartitionId(partitions)).size() == nodes);
      }
    }
  }
}

TEST_CASE("placement: where every node has everything, the leads go round as ever", "[cluster]") {
  const Placement placement({"n3", "n1", "n2"}, 64, 3);
  CHECK_FALSE(placement.partial());
  using Names = std::vector<std::string>;
  CHECK(placement.replicas(PartitionId(0)) == Names{"n1", "n2", "n3"});
  CHECK(placement.replicas(PartitionId(4)) == Names{"n2", "n3", "n1"});
  CHECK(placement.replicas(PartitionId(64)) == Names{"n2", "n3", "n1"});
  // More copies than nodes.
  const Placement two({"n1", "n2"}, 64, 3);
  CHECK_FALSE(two.partial());
  CHECK(two.copies() == 2);
}

TEST_CASE("placement: a node more or less moves not much more than it must", "[cluster]") {
  constexpr uint32_t kPartitions = 64;
  for (const size_t nodes : {4, 5, 6, 8, 10, 15}) {
    const Placement before(named(nodes), kPartitions, 3);
    const Placement after(named(nodes + 1), kPartitions, 3);
    const size_t least = kPartitions * 3 / (nodes + 1);
    INFO(nodes << " nodes and one more: " << moved(before, after, kPartitions) << " moves, "
               << least << " are the least");
    CHECK(moved(before, after, kPartitions) <= 2 * least + 3);
    CHECK(moved(after, before, kPartitions) <= 2 * least + 3);
  }
}

TEST_CASE("placement: it is the same for ever", "[cluster]") {
  const Placement placement(named(5), 4, 3);
  std::string text;
  for (uint32_t id = 0; id < 4; ++id)
    text += fmt::format("{};", fmt::join(placement.replicas(PartitionId(id)), ","));
  CHECK(text == "n3,n4,n1;n1,n2,n4;n5,n3,n1;n2,n3,n5;");
  CHECK(placement.digest() == Placement({"n5", "n4", "n3", "n2", "n1"}, 4, 3).digest());
  CHECK(placement.digest() != Placement(named(5), 4, 5).digest());
  CHECK(placement.digest() != Placement(named(6), 4, 3).digest());
}

}  // namespace clickmill::cluster
