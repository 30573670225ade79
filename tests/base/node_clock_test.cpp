#include "base/node_clock.h"

#include <catch2/catch.hpp>

namespace clickmill {
namespace {

constexpr int64_t kStart = 1'700'000'000'000;

struct Node {
  ManualClock wall{kStart};
  NodeClock clock{wall};
  int64_t now() { return clock.now().value(); }
};

TEST_CASE("node clock: it follows the wall clock", "[base]") {
  Node node;
  CHECK(node.now() == kStart);
  node.wall.advance_ms(1'234);
  CHECK(node.now() == kStart + 1'234);
  CHECK(node.clock.trouble() == "");
}

TEST_CASE("node clock: time stands still until a clock that is behind has caught up", "[base]") {
  Node node;
  CHECK(node.now() == kStart);
  node.wall.set_wall_ms(kStart - 3'600'000);
  CHECK(node.now() == kStart);
  CHECK(node.clock.trouble().find("3600 s behind") != std::string::npos);
  node.wall.advance_ms(3'599'999);
  CHECK(node.now() == kStart);
  CHECK(node.clock.trouble() == "");
  node.wall.advance_ms(2);
  CHECK(node.now() == kStart + 1);
}

TEST_CASE("node clock: a few seconds behind are no trouble", "[base]") {
  const auto [behind, trouble] = GENERATE(table<int64_t, bool>({{10'000, false}, {10'001, true}}));
  Node node;
  node.now();
  node.wall.set_wall_ms(kStart - behind);
  CHECK(node.clock.trouble().empty() != trouble);
}

TEST_CASE("node clock: after a restart time is not below what was recovered", "[base]") {
  Node node;
  node.clock.raise(ArrivalMs(kStart + 5'000));
  CHECK(node.now() == kStart + 5'000);
  node.wall.advance_ms(5'001);
  CHECK(node.now() == kStart + 5'001);
}

TEST_CASE("node clock: a start long after the last record is no jump", "[base]") {
  Node node;
  node.clock.raise(ArrivalMs(kStart - 40 * kDayMs));
  CHECK(node.now() == kStart);
  CHECK(node.clock.trouble() == "");
}

TEST_CASE("node clock: a start's clock is checked against the newest time on record", "[base]") {
  Node node;
  const auto [before, synchronised, believed] =
      GENERATE(table<int64_t, bool, bool>({{kDayMs, false, true},
                                           {kDayMs + 1, false, false},
                                           {kDayMs + 1, true, true},
                                           {400 * kDayMs, false, false},
                                           {400 * kDayMs, true, true}}));
  node.wall.set_synchronised(synchronised);
  const int64_t newest = kStart - before;
  node.clock.begin_at(ArrivalMs(newest));
  CHECK(node.now() == (believed ? kStart : newest));
  CHECK(node.clock.trouble().empty() == believed);
  node.wall.advance_ms(60'000);
  CHECK(node.now() == (believed ? kStart : newest) + 60'000);
  // Set right, it is believed at once, and so is one that somebody vouches for.
  node.wall.set_wall_ms(newest + 90'000);
  if (!believed) CHECK(node.now() == newest + 90'000);
}

TEST_CASE("node clock: somebody may vouch for a clock that is far ahead", "[base]") {
  Node node;
  node.clock.begin_at(ArrivalMs(kStart - 400 * kDayMs));
  CHECK(node.now() == kStart - 400 * kDayMs);
  node.clock.believe();
  CHECK(node.now() == kStart);
  CHECK(node.clock.trouble() == "");
}

TEST_CASE("node clock: what carries no time is never put where time stands still", "[base]") {
  Node node;
  node.clock.begin_at(ArrivalMs(kStart + 7'200'000));
  const ArrivalMs arrival = node.clock.now();
  CHECK(arrival.value() == kStart + 7'200'000);
  CHECK(node.clock.happened_ms(arrival) == kStart);
  node.wall.set_wall_ms(kStart + 7'195'000);
  CHECK(node.clock.happened_ms(arrival) == arrival.value());
}

TEST_CASE("node clock: a jump of up to a day is believed, a longer one is not", "[base]") {
  const auto [jump, believed] =
      GENERATE(table<int64_t, bool>({{kDayMs, true}, {kDayMs + 1, false}}));
  Node node;
  node.now();
  node.wall.set_wall_ms(kStart + jump);
  CHECK(node.now() == (believed ? kStart + jump : kStart));
  CHECK(node.clock.trouble().empty() == believed);
}

TEST_CASE("node clock: after a doubtful jump time goes on by the monotonic clock", "[base]") {
  Node node;
  node.now();
  node.wall.set_wall_ms(kStart + 400 * kDayMs);
  CHECK(node.now() == kStart);
  node.wall.advance_ms(60'000);
  CHECK(node.now() == kStart + 60'000);
  CHECK(node.clock.trouble().find("34560000 s ahead") != std::string::npos);

  SECTION("until the wall clock is back") {
    node.wall.set_wall_ms(kStart + 61'000);
    CHECK(node.now() == kStart + 61'000);
    CHECK(node.clock.trouble() == "");
    node.wall.advance_ms(5);
    CHECK(node.now() == kStart + 61'005);
  }
  SECTION("until it is back, were it behind by a little") {
    node.wall.set_wall_ms(kStart + 59'000);
    CHECK(node.now() == kStart + 60'000);
    CHECK(node.clock.trouble() == "");
  }
  SECTION("until the clock is called synchronised") {
    node.wall.set_synchronised(true);
    CHECK(node.now() == kStart + 400 * kDayMs + 60'000);
    CHECK(node.clock.trouble() == "");
  }
  SECTION("until a restart, which believes the wall clock") {
    NodeClock restarted(node.wall);
    restarted.raise(node.clock.now());
    CHECK(restarted.now().value() == kStart + 400 * kDayMs + 60'000);
    CHECK(restarted.trouble() == "");
  }
}

TEST_CASE("node clock: a synchronised clock may jump as it likes", "[base]") {
  Node node;
  node.wall.set_synchronised(true);
  node.now();
  node.wall.set_wall_ms(kStart + 400 * kDayMs);
  CHECK(node.now() == kStart + 400 * kDayMs);
}

TEST_CASE("node clock: days without a click are no jump", "[base]") {
  Node node;
  node.now();
  node.wall.advance_ms(10 * kDayMs);
  CHECK(node.now() == kStart + 10 * kDayMs);
}

TEST_CASE("node clock: coming back after days behind is no jump", "[base]") {
  Node node;
  node.now();
  node.wall.set_wall_ms(kStart - 5 * kDayMs);
  CHECK(node.now() == kStart);
  node.wall.set_wall_ms(kStart + 1'000);
  CHECK(node.now() == kStart + 1'000);
}

}  // namespace
}  // namespace clickmill
