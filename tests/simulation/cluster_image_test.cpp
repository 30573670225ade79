// Goal: a node that starts from an old image of its disk never votes away what was committed.
// Method: one node sees less than the others for a while; of the two that commit one goes back to
// an image of before, and the other dies: those who are left must not agree on something else.

#include <catch2/catch.hpp>

#include "simulation/sim_cluster.h"

namespace clickmill::simulation {
namespace {

class ImageLife {
 public:
  ImageLife(uint64_t seed, SimCluster::Options options)
      : clients_(seed), cluster_(seed, options), random_(seed) {}
  /// It runs by itself first, and its log ends elsewhere then.
  void start_alone_first() { starts_alone_ = true; }

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
    if (starts_alone_) {
      cluster_.network().break_link(0, 2, 60'000);
      if (auto problem = cluster_.open(2)) return problem;
      if (auto problem = run(1'500)) return problem;
      cluster_.die(2, false);
    }
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
  bool starts_alone_ = false;
  bool noticed_ = false;
  bool went_on_ = false;
};

TEST_CASE("cluster: an old image of a disk votes nothing away, and comes back as a new disk",
          "[simulation][cluster]") {
  const bool alone_first = GENERATE(false, true);
  for (uint64_t seed = 0; seed < 8; ++seed) {
    ImageLife life(seed, {});
    if (alone_first) life.start_alone_first();
    const auto problem = life.go();
    CAPTURE(seed, alone_first, problem.value_or(""));
    REQUIRE_FALSE(problem);
    CHECK(life.noticed());
    // Of the three only one remembered all that it had promised.
    CHECK_FALSE(life.went_on());
  }
}

std::string first_problem(const SimCluster::Options& options, bool alone_first) {
  std::string problem;
  for (uint64_t seed = 0; seed < 8 && problem.empty(); ++seed) {
    ImageLife life(seed, options);
    if (alone_first) life.start_alone_first();
    problem = life.go().value_or("");
  }
  return problem;
}

TEST_CASE("cluster: without claimed ends an old image votes away what was committed",
          "[simulation][cluster]") {
  const std::string problem = first_problem({.check_claims = false}, false);
  CAPTURE(problem);
  CHECK(problem.find("another entry at offset") != std::string::npos);
}

TEST_CASE("cluster: if a second start forgets what the first claimed, it does so too",
          "[simulation][cluster]") {
  const std::string problem = first_problem({.careless = {.forgets_claim = true}}, true);
  CAPTURE(problem);
  CHECK(problem.find("another entry at offset") != std::string::npos);
}

}  // namespace
}  // namespace clickmill::simulation
