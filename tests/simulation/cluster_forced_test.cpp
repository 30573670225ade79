// Goal: two of three are gone, the third goes on by force, and when the two come back they win
// nothing, and no click that anybody answered is lost or counts twice. Method: the tools that the
// commands use, on the disks of simulated nodes.

#include <catch2/catch.hpp>

#include "simulation/sim_cluster.h"

/// Leaves with what went wrong.
#define TRY_OUT(call) \
  if (auto problem = (call)) return problem

namespace clickmill::simulation {
namespace {

class ForcedLife {
 public:
  explicit ForcedLife(uint64_t seed) : random_(seed), clients_(seed), cluster_(seed, {}) {}

  /// What went wrong.
  std::optional<std::string> go(bool with_clicks) {
    for (size_t i = 0; i < 3; ++i) TRY_OUT(cluster_.open(i));
    TRY_OUT(run(800, {0, 1, 2}));
    cut_off_the_third();
    TRY_OUT(run(some(200), {0, 1, 2}));
    for (const size_t at : {0U, 1U}) cluster_.die(at, random_.one_in(2));
    cluster_.network().heal();
    TRY_OUT(run(300, {2}));
    TRY_OUT(cluster_.force(2));
    TRY_OUT(cluster_.open(2));
    TRY_OUT(run(500, {2}));
    if (!cluster_.leader(0) || !cluster_.leader(1)) return "the third does not go on";
    TRY_OUT(come_back());
    for (const size_t at : {0U, 1U}) {
      TRY_OUT(cluster_.rejoin(at, with_clicks));
      TRY_OUT(cluster_.open(at));
      TRY_OUT(run(500, {0, 1, 2}));
    }
    TRY_OUT(cluster_.settle());
    return cluster_.check(clients_);
  }
  const Clients& clients() const { return clients_; }
  /// What those that were left behind committed by themselves before they heard of it.
  uint64_t apart() const { return apart_; }

 private:
  uint64_t some(uint64_t most) { return 1 + random_.below(most); }

  /// Then the other two agree on what it never sees.
  void cut_off_the_third() {
    if (!random_.one_in(2)) return;
    cluster_.network().break_link(0, 2, 60'000);
    cluster_.network().break_link(1, 2, 60'000);
  }

  /// The two start in the old epoch: at times they can't hear at once what became of it.
  std::optional<std::string> come_back() {
    const bool apart = random_.one_in(2);
    if (apart) {
      cluster_.network().break_link(0, 2, 8'000);
      cluster_.network().break_link(1, 2, 8'000);
    }
    const uint64_t before = entries_of(0);
    for (const size_t at : {0U, 1U}) TRY_OUT(cluster_.open(at));
    TRY_OUT(run(apart ? 1'200 : 300, {0, 1, 2}));
    for (const size_t at : {0U, 1U}) {
      if (!cluster_.node(at).machine().peers()->left_behind()) return "it was not left behind";
    }
    if (apart) apart_ += entries_of(0) - before;
    const uint64_t then = entries_of(0) + entries_of(1);
    TRY_OUT(run(300, {0, 1, 2}));
    if (entries_of(0) + entries_of(1) != then) return "who was left behind goes on committing";
    return std::nullopt;
  }

  uint64_t entries_of(size_t at) {
    if (!cluster_.alive(at)) return 0;
    uint64_t sum = 0;
    for (const auto& partition : cluster_.node(at).partitions())
      sum += partition->log().committed().value();
    return sum;
  }

  std::optional<std::string> run(uint64_t steps, std::vector<size_t> at) {
    for (uint64_t step = 0; step < steps; ++step) {
      const size_t home = at[random_.below(at.size())];
      if (random_.one_in(3) && cluster_.alive(home)) {
        const uint64_t identity = next_ > 0 && random_.one_in(8)
                                      ? next_ - 1 - random_.below(std::min<uint64_t>(next_, 20))
                                      : next_++;
        clients_.send(cluster_.node(home), identity, EventMs(cluster_.clock.wall_ms()),
                      log::Lane::redirects);
      }
      TRY_OUT(cluster_.step());
    }
    return std::nullopt;
  }

  Random random_;
  Clients clients_;
  SimCluster cluster_;
  uint64_t next_ = 0;
  uint64_t apart_ = 0;
};

TEST_CASE("cluster: one of three goes on by force, and no click of the others is lost",
          "[simulation][cluster]") {
  uint64_t acknowledged = 0;
  uint64_t apart = 0;
  for (uint64_t seed = 0; seed < 6; ++seed) {
    ForcedLife life(seed);
    const auto problem = life.go(true);
    CAPTURE(seed, problem.value_or(""));
    REQUIRE_FALSE(problem);
    acknowledged += life.clients().acknowledged().size();
    apart += life.apart();
  }
  CHECK(acknowledged > 6 * 200);
  CHECK(apart > 100);
}

TEST_CASE("cluster: a rejoin that leaves the node's clicks out is noticed",
          "[simulation][cluster]") {
  std::string problem;
  for (uint64_t seed = 0; seed < 6 && problem.empty(); ++seed)
    problem = ForcedLife(seed).go(false).value_or("");
  CAPTURE(problem);
  CHECK(problem.find("was acknowledged and is not in the log") != std::string::npos);
}

}  // namespace
}  // namespace clickmill::simulation
