// Goal: parts of partitions go together into files that all share, while partitions come and go,
// and nodes die: in the end each table of each copy holds every click once.
// Method: five nodes of three copies, of which all but one or two begin; minutes pass at once, so
// that parts come every few steps.

#include <algorithm>
#include <catch2/catch.hpp>

#include "simulation/sim_cluster.h"

/// Leaves with what went wrong.
#define TRY_OUT(call) \
  if (auto problem = (call)) return problem

namespace clickmill::simulation {
namespace {

SimCluster::Options five(uint64_t seed) {
  SimCluster::Options options;
  options.nodes = 5;
  options.founders = seed % 3 == 0 ? 1 : 4;
  options.partitions = 5;
  options.copies = 3;
  options.short_logs = seed % 2 == 0;
  options.shelves = true;
  return options;
}

class Life {
 public:
  explicit Life(uint64_t seed) : random_(seed), clients_(seed), cluster_(seed, five(seed)) {}

  std::optional<std::string> go(int minutes) {
    for (size_t i = 0; i < cluster_.size(); ++i) TRY_OUT(cluster_.open(i));
    for (int minute = 0; minute < minutes; ++minute) {
      for (int step = 0; step < 250; ++step) {
        if (random_.one_in(100)) TRY_OUT(trouble());
        if (step > 100 && random_.one_in(3)) send();
        TRY_OUT(cluster_.step());
        TRY_OUT(start_anew_what_fails());
      }
      cluster_.clock.advance_ms(kMinuteMs);
    }
    TRY_OUT(cluster_.settle());
    return cluster_.check(clients_);
  }
  const Clients& clients() const { return clients_; }
  const SimCluster& cluster() const { return cluster_; }

 private:
  void send() {
    const size_t at = random_.below(cluster_.size());
    if (!cluster_.alive(at)) return;
    for (uint64_t left = random_.below(6); left > 0; --left) {
      const bool again = next_ > 0 && random_.one_in(6);
      const uint64_t identity =
          again ? next_ - 1 - random_.below(std::min<uint64_t>(next_, 20)) : next_++;
      clients_.send(cluster_.node(at), identity, EventMs(cluster_.clock.wall_ms()),
                    log::Lane::bulk);
    }
  }

  std::optional<std::string> trouble() {
    const size_t at = random_.below(cluster_.size());
    const size_t other = (at + 1 + random_.below(cluster_.size() - 1)) % cluster_.size();
    switch (random_.below(5)) {
      case 0:
      case 1:
        if (!cluster_.alive(at)) return cluster_.open(at);
        cluster_.die(at, random_.one_in(2));
        return random_.one_in(2) ? cluster_.open(at) : std::nullopt;
      case 2: cluster_.network().break_link(at, other, 2'000); break;
      case 3: cluster_.network().heal(); break;
      default: cluster_.pause(at, 1'000); break;
    }
    return std::nullopt;
  }

  std::optional<std::string> start_anew_what_fails() {
    for (size_t i = 0; i < cluster_.size(); ++i) {
      if (!cluster_.alive(i) || !cluster_.node(i).journal_fails()) continue;
      cluster_.die(i, random_.one_in(2));
      TRY_OUT(cluster_.open(i));
    }
    return std::nullopt;
  }

  Random random_;
  Clients clients_;
  SimCluster cluster_;
  uint64_t next_ = 0;
};

}  // namespace

TEST_CASE("cluster: parts go together while partitions move", "[simulation][cluster]") {
  uint64_t acknowledged = 0;
  uint64_t shelved = 0;
  for (uint64_t seed = 4; seed < 10; ++seed) {
    Life life(seed);
    const auto problem = life.go(10);
    CAPTURE(seed, problem.value_or(""));
    REQUIRE_FALSE(problem);
    acknowledged += life.clients().acknowledged().size();
    shelved += life.cluster().shelved();
  }
  CHECK(acknowledged > 6 * 300);
  CHECK(shelved > 6 * 10);
}

}  // namespace clickmill::simulation
