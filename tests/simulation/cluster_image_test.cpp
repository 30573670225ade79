// Goal: a node that starts from an old image of its disk never votes away what was committed.
// Method: one node sees less than the others for a while; of the two that commit one goes back to
// an image of before, and the other dies: those who are left must not agree on something else.

#include <catch2/catch.hpp>

#include "simulation/sim_cluster.h"

namespace clickmill::simulation {
namespace {

class ImageLife {
 public:
  ImageLife(uint64_t seed, bool check_claims)
      : clients_(seed), cluster_(seed, {.check_claims = check_claims}), random_(seed) {}

  /// What went wrong; the clicks that the image has forgotten may be.
  std::optional<std::string> go() {
    for (size_t i = 0; i < 3; ++i) {
      if (auto problem = cluster_.open(i)) return problem;
    }
    if (auto problem = run(500)) return problem;
    cluster_.die(2, true);
    const auto image = cluster_.image(2);
    if (auto problem = cluster_.open(2)) return problem;
    if (auto problem = run(300 + random_.below(200))) return problem;
    // The first hears of the third, and gets nothing from the second.
    cluster_.network().break_link(0, 1, 60'000);
    if (auto problem = run(400)) return problem;
    const uint64_t committed = cluster_.committed();
    cluster_.die(2, true);
    cluster_.die(1, true);
    cluster_.put_back(2, image);
    cluster_.network().heal();
    if (auto problem = cluster_.open(2)) return problem;
    if (auto problem = run(800)) return problem;
    noticed_ = cluster_.node(2).machine().peers()->forgot();
    went_on_ = cluster_.committed() > committed;
    if (noticed_) {
      // As its process does at the next start.
      cluster_.die(2, false);
      cluster_.rename_disk(2);
      if (auto problem = cluster_.open(2)) return problem;
    }
    if (auto problem = cluster_.open(1)) return problem;
    return cluster_.settle();
  }
  bool noticed() const { return noticed_; }
  bool went_on() const { return went_on_; }

 private:
  std::optional<std::string> run(uint64_t steps) {
    for (uint64_t step = 0; step < steps; ++step) {
      const size_t at = random_.below(3);
      if (cluster_.alive(at))
        clients_.send(cluster_.node(at), next_++, EventMs(cluster_.clock.wall_ms()),
                      log::Lane::redirects);
      if (auto problem = cluster_.step()) return problem;
    }
    return std::nullopt;
  }

  Clients clients_;
  SimCluster cluster_;
  Random random_;
  uint64_t next_ = 0;
  bool noticed_ = false;
  bool went_on_ = false;
};

TEST_CASE("cluster: an old image of a disk votes nothing away, and comes back as a new disk",
          "[simulation][cluster]") {
  for (uint64_t seed = 0; seed < 8; ++seed) {
    ImageLife life(seed, true);
    const auto problem = life.go();
    CAPTURE(seed, problem.value_or(""));
    REQUIRE_FALSE(problem);
    CHECK(life.noticed());
    // Of the three only one remembered all that it had promised.
    CHECK_FALSE(life.went_on());
  }
}

TEST_CASE("cluster: without claimed ends an old image votes away what was committed",
          "[simulation][cluster]") {
  std::string problem;
  for (uint64_t seed = 0; seed < 8 && problem.empty(); ++seed)
    problem = ImageLife(seed, false).go().value_or("");
  CAPTURE(problem);
  CHECK(problem.find("another entry at offset") != std::string::npos);
}

}  // namespace
}  // namespace clickmill::simulation
