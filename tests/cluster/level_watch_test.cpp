// Goal: the level rises when every node that is in has been ready for it, without a break, for as
// long as asked; whoever keeps it from rising is named, with the reason.

#include "cluster/level_watch.h"

#include <catch2/catch.hpp>

namespace clickmill::cluster {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

struct Three {
  LevelWatch watch{{.node = "n1", .levels = {1, 2}}, 0};
  Three() { watch.set_nodes({"n1", "n2", "n3"}); }
  void link(const char* node, FeatureLevels levels, int64_t at_s) {
    watch.linked(node, levels, levels.highest, at_s * kSecond);
  }
  std::optional<FeatureLevel> due(int64_t at_s) const { return watch.due(at_s * kSecond); }
  std::string waits_for(const std::string& node, int64_t at_s) const {
    return watch.view(at_s * kSecond).nodes.at(node).waits;
  }
};

}  // namespace

TEST_CASE("level watch: a level is due when all have been ready for a minute", "[cluster]") {
  Three three;
  CHECK_FALSE(three.due(1'000));
  CHECK(three.waits_for("n2", 1'000) == "has not been linked since this node's start, 1000 s ago");
  three.link("n2", {1, 2}, 1'000);
  three.link("n3", {1, 2}, 1'010);
  CHECK(three.watch.view(1'069 * kSecond).next == 2);
  CHECK_FALSE(three.due(1'069));
  CHECK(three.waits_for("n2", 1'069).empty());
  CHECK(three.waits_for("n3", 1'069) == "has been ready for 59 s of 60");
  CHECK(three.due(1'070) == 2);
  CHECK(three.watch.level() == 1);
  three.watch.set_level(2);
  CHECK(three.watch.level() == 2);
  CHECK_FALSE(three.due(1'070));
  CHECK_FALSE(three.watch.view(1'070 * kSecond).next);
}

TEST_CASE("level watch: a node alone waits as well", "[cluster]") {
  const LevelWatch watch({.node = "n1", .levels = {1, 2}}, 5 * kSecond);
  CHECK_FALSE(watch.due(64 * kSecond));
  CHECK(watch.due(65 * kSecond) == 2);
}

TEST_CASE("level watch: a node that parts begins anew, and one that is away is waited for",
          "[cluster]") {
  Three three;
  three.link("n2", {1, 2}, 0);
  three.link("n3", {1, 2}, 0);
  three.watch.parted("n3", 59 * kSecond);
  three.watch.parted("n3", 70 * kSecond);  // the next try
  CHECK_FALSE(three.due(100'000));
  CHECK(three.waits_for("n3", 100'000) == "is away for 99941 s");
  three.link("n3", {1, 2}, 100'000);
  CHECK_FALSE(three.due(100'059));
  CHECK(three.due(100'060) == 2);
}

TEST_CASE("level watch: a node of an earlier version keeps the level where it is", "[cluster]") {
  Three three;
  three.link("n2", {1, 1}, 0);
  three.link("n3", {1, 3}, 0);
  CHECK_FALSE(three.due(1'000));
  CHECK(three.watch.view(1'000 * kSecond).next == 3);
  CHECK(three.waits_for("n1", 1'000) == "runs 2 at most");
  CHECK(three.waits_for("n2", 1'000) == "runs 1 at most");
  CHECK(three.waits_for("n3", 1'000).empty());
  // What all can run is reached before what some can.
  three.link("n2", {1, 2}, 1'000);
  CHECK(three.due(1'060) == 2);
}

TEST_CASE("level watch: whoever holds the level is named, and lets it go", "[cluster]") {
  Three three;
  three.watch.linked("n2", {1, 2}, 1, 0);
  three.link("n3", {1, 2}, 0);
  CHECK_FALSE(three.due(1'000));
  CHECK(three.waits_for("n2", 1'000) == "holds it at 1 (cluster.hold_feature_level)");
  three.watch.hold(1, 1'000 * kSecond);
  CHECK(three.watch.most() == 1);
  three.link("n2", {1, 2}, 1'000);
  CHECK_FALSE(three.due(2'000));
  CHECK(three.waits_for("n1", 2'000) == "holds it at 1 (cluster.hold_feature_level)");
  three.watch.hold(0, 2'000 * kSecond);
  CHECK_FALSE(three.due(2'059));
  CHECK(three.due(2'060) == 2);
}

TEST_CASE("level watch: it never falls, and who joins is waited for", "[cluster]") {
  Three three;
  three.watch.set_level(2);
  three.watch.set_level(1);
  CHECK(three.watch.recorded() == 2);
  three.watch.set_nodes({"n1"});
  three.watch.hold(1, 0);
  CHECK(three.watch.level() == 2);
  LevelWatch later({.node = "n1", .levels = {2, 3}}, 0);
  // Nothing is recorded: what it can't do without is agreed on.
  CHECK(later.level() == 2);
  CHECK(later.recorded() == 0);
  CHECK(later.due(60 * kSecond) == 3);
  later.set_nodes({"n1", "n4"});
  CHECK_FALSE(later.due(60 * kSecond));
}

}  // namespace clickmill::cluster
