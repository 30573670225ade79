#include "peer/line_limit.h"

#include <catch2/catch.hpp>

#include "peer/retry.h"

namespace clickmill::peer {

TEST_CASE("line limit: one line about a thing in its time", "[peer]") {
  LineLimit limit(60'000);
  CHECK(limit.admits("n1", 1'000));
  CHECK_FALSE(limit.admits("n1", 60'999));
  CHECK(limit.admits("n2", 60'999));
  CHECK(limit.admits("n1", 61'000));
  CHECK_FALSE(limit.admits("n1", 120'999));
}

TEST_CASE("line limit: a crowd of things shares a line, and those known keep theirs", "[peer]") {
  LineLimit limit(60'000);
  for (size_t i = 0; i < LineLimit::kThingsMost; ++i) REQUIRE(limit.admits(std::to_string(i), 0));
  CHECK(limit.admits("one more", 1));
  CHECK_FALSE(limit.admits("and one", 2));
  CHECK_FALSE(limit.admits("7", 2));
  CHECK(limit.admits("when time has passed", 60'001));
  CHECK(limit.admits("7", 60'002));
}

TEST_CASE("retry: waits double, half of each is chance, and success forgets them", "[peer]") {
  Retry retry(1);
  CHECK(retry.due(0));
  int64_t now_ms = 1'000;
  for (const int64_t wait_ms : {100, 200, 400, 800, 1'600, 2'000, 2'000}) {
    retry.failed(now_ms, 100, 2'000);
    CHECK_FALSE(retry.due(now_ms + wait_ms / 2 - 1));
    CHECK(retry.due(now_ms + wait_ms));
    now_ms += wait_ms;
  }
  retry.failed(now_ms, 1'000, 10'000);
  CHECK_FALSE(retry.due(now_ms + 1'999));
  CHECK(retry.due(now_ms + 4'000));
  retry.succeeded();
  CHECK(retry.due(now_ms));
  retry.failed(now_ms, 100, 2'000);
  CHECK(retry.due(now_ms + 100));
}

}  // namespace clickmill::peer
