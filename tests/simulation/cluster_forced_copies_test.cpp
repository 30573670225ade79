// Goal: of five nodes with three copies two or three are gone, and the others go on together by
// force: partitions with a majority lose nothing, others go on from the newest copy, and those that
// nobody has begin empty. When the gone ones come back they win nothing, and no click that anybody
// answered is lost or counts twice. Method: the tools that the commands use, on the disks of
// simulated nodes.

#include <algorithm>
#include <catch2/catch.hpp>

#include "simulation/sim_cluster.h"

/// Leaves with what went wrong.
#define TRY_OUT(call) \
  if (auto problem = (call)) return problem

namespace clickmill::simulation {
namespace {

class Life {
 public:
  explicit Life(uint64_t seed) : random_(seed), clients_(seed), cluster_(seed, five()) {
    for (size_t i = 0; i < cluster_.size(); ++i) all_.push_back(i);
  }

  /// What went wrong.
  std::optional<std::string> go(bool with_clicks) {
    for (const size_t at : all_) TRY_OUT(cluster_.open(at));
    TRY_OUT(run(800, all_));
    choose();
    cut_off();
    TRY_OUT(run(1 + random_.below(200), all_));
    for (const size_t at : gone_) cluster_.die(at, random_.one_in(2));
    cluster_.network().heal();
    TRY_OUT(run(300, left_));
    TRY_OUT(cluster_.force_together(left_));
    for (const size_t at : left_) TRY_OUT(cluster_.open(at));
    TRY_OUT(run(500, left_));
    for (uint32_t group = 0; group <= cluster_.ads(); ++group) {
      if (!cluster_.leader(group)) return "group " + std::to_string(group) + " does not go on";
    }
    TRY_OUT(come_back());
    for (const size_t at : gone_) {
      TRY_OUT(cluster_.rejoin(at, with_clicks));
      TRY_OUT(cluster_.open(at));
      TRY_OUT(run(500, all_));
    }
    TRY_OUT(cluster_.settle());
    return cluster_.check(clients_);
  }
  const Clients& clients() const { return clients_; }
  const SimCluster& cluster() const { return cluster_; }

 private:
  static SimCluster::Options five() {
    SimCluster::Options options;
    options.nodes = options.founders = 5;
    options.partitions = 5;
    options.copies = 3;
    return options;
  }

  void choose() {
    left_ = all_;
    for (uint64_t more = 2 + random_.below(2); more > 0; --more) {
      const auto at = left_.begin() + static_cast<std::ptrdiff_t>(random_.below(left_.size()));
      gone_.push_back(*at);
      left_.erase(at);
    }
  }

  /// Then those that will be gone agree on what the others never see.
  void cut_off() {
    if (random_.one_in(2)) return;
    for (const size_t gone : gone_) {
      for (const size_t left : left_) cluster_.network().break_link(gone, left, 60'000);
    }
  }

  /// They start in the old epoch: at times they can't hear at once what became of it.
  std::optional<std::string> come_back() {
    const bool apart = random_.one_in(2);
    for (size_t i = 0; apart && i < gone_.size(); ++i) {
      for (const size_t left : left_) cluster_.network().break_link(gone_[i], left, 8'000);
    }
    for (const size_t at : gone_) TRY_OUT(cluster_.open(at));
    TRY_OUT(run(apart ? 1'200 : 300, all_));
    for (const size_t at : gone_) {
      if (!cluster_.node(at).machine().peers()->left_behind()) return "it was not left behind";
    }
    for (const size_t at : left_) {
      if (cluster_.node(at).machine().peers()->left_behind()) return "who went on was left behind";
    }
    return std::nullopt;
  }

  std::optional<std::string> run(uint64_t steps, const std::vector<size_t>& at) {
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
  std::vector<size_t> all_;
  std::vector<size_t> left_;
  std::vector<size_t> gone_;
  uint64_t next_ = 0;
};

TEST_CASE("cluster: some of five go on together by force, and no click of the others is lost",
          "[simulation][cluster]") {
  uint64_t acknowledged = 0;
  uint64_t forced = 0;
  uint64_t lost = 0;
  for (uint64_t seed = 0; seed < 12; ++seed) {
    Life life(seed);
    const auto problem = life.go(true);
    CAPTURE(seed, problem.value_or(""));
    REQUIRE_FALSE(problem);
    acknowledged += life.clients().acknowledged().size();
    forced += life.cluster().forced();
    lost += life.cluster().lost();
  }
  CHECK(acknowledged > 12 * 300);
  CHECK(forced > 12);
  CHECK(lost > 0);
}

TEST_CASE("cluster: a rejoin of one of five that leaves its clicks out is noticed",
          "[simulation][cluster]") {
  std::string problem;
  for (uint64_t seed = 0; seed < 12 && problem.empty(); ++seed)
    problem = Life(seed).go(false).value_or("");
  CAPTURE(problem);
  CHECK(problem.find("was acknowledged and is not in the log") != std::string::npos);
}

}  // namespace
}  // namespace clickmill::simulation
