#pragma once

#include <catch2/catch.hpp>
#include <cstdint>
#include <functional>

#include "simulation/sim_cluster.h"

namespace clickmill::simulation {

/// Three nodes that have elected, with a click for one of them at each step: what a plan needs
/// whose troubles come in a certain order. What the cluster's watch sees fails the test at once.
class LoadedCluster {
 public:
  explicit LoadedCluster(uint64_t seed, SimCluster::Options options = {})
      : clients_(seed), cluster(seed, options) {
    for (size_t i = 0; i < 3; ++i) REQUIRE_FALSE(cluster.open(i));
    REQUIRE(run(2'000, kNone, [&] { return all_led_by_others_than(kNone); }));
  }
  static constexpr size_t kNone = 3;

  /// Until that holds, or so many steps have passed; clicks come to all that live but one.
  bool run(int steps, size_t but, const std::function<bool()>& until = nullptr) {
    for (int step = 0; step < steps; ++step) {
      const size_t at = static_cast<size_t>(step) % 3;
      if (at != but && cluster.alive(at))
        clients_.send(cluster.node(at), identity_++, EventMs(cluster.clock.wall_ms()),
                      log::Lane::redirects);
      const auto problem = cluster.step();
      CAPTURE(problem.value_or(""));
      REQUIRE_FALSE(problem);
      if (until && until()) return true;
    }
    return false;
  }
  bool all_led_by_others_than(size_t at) {
    for (uint32_t group = 0; group <= cluster.ads(); ++group) {
      const auto leads = cluster.leader(group);
      if (!leads || *leads == at) return false;
    }
    return true;
  }
  /// Nothing waits at the nodes but this one.
  bool counted_but_at(size_t at) {
    for (size_t i = 0; i < 3; ++i) {
      if (i != at && cluster.node(i).machine().spool().held_clicks() > 6) return false;
    }
    return true;
  }
  /// What is wrong once all is mended.
  std::optional<std::string> problem_in_the_end() {
    if (auto problem = cluster.settle()) return problem;
    return cluster.check(clients_);
  }
  void check() {
    const auto problem = problem_in_the_end();
    CAPTURE(problem.value_or(""));
    REQUIRE_FALSE(problem);
  }
  const Clients& clients() const { return clients_; }

 private:
  Clients clients_;
  uint64_t identity_ = 0;

 public:
  SimCluster cluster;
};

}  // namespace clickmill::simulation
