#include "cluster/clock_verdict.h"

#include <catch2/catch.hpp>

namespace clickmill::cluster {

TEST_CASE("clocks: where a few have a majority of copies, they go by their own clocks",
          "[cluster]") {
  const auto fit = [](const std::vector<ClockOffset>& peers, bool synchronised) {
    return clock_is_fit(peers, 5, 3, synchronised);
  };
  CHECK(fit({{9'999, 0}}, false));
  CHECK_FALSE(fit({}, false));
  CHECK(fit({}, true));
  CHECK_FALSE(fit({{10'001, 0}}, false));
  CHECK_FALSE(fit({{0, 0}, {60'000, 0}}, false));
  // Most of all nodes know better than most of what is heard of a partition.
  CHECK_FALSE(fit({{60'000, 0}, {60'000, 0}, {60'000, 0}}, true));
}

}  // namespace clickmill::cluster
