#include "collector/rate_limit.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <string>

#include "base/random.h"

namespace clickmill::collector {
namespace {

constexpr int64_t kMs = 1'000'000;
constexpr int64_t kBegin = 5'000'000 * kMs;

}  // namespace

TEST_CASE("rate limit: a burst, then the rate, and it says how long to wait", "[collector]") {
  RateLimit limit({10, 3}, 1);
  for (int i = 0; i < 3; ++i) CHECK(limit.wait_ns("203.0.113.7", kBegin) == 0);
  CHECK(limit.wait_ns("203.0.113.7", kBegin) == 100 * kMs);
  // Having asked in vain costs nothing.
  CHECK(limit.wait_ns("203.0.113.7", kBegin + 99 * kMs) == kMs);
  CHECK(limit.wait_ns("203.0.113.7", kBegin + 100 * kMs) == 0);
  CHECK(limit.wait_ns("203.0.113.7", kBegin + 100 * kMs) == 100 * kMs);
  CHECK(limit.wait_ns("203.0.113.7", kBegin + 10'000 * kMs) == 0);
}

TEST_CASE("rate limit: who is one client", "[collector]") {
  RateLimit limit({1, 1}, 1);
  CHECK(limit.wait_ns("203.0.113.7", kBegin) == 0);
  CHECK(limit.wait_ns("203.0.113.8", kBegin) == 0);
  CHECK(limit.wait_ns("203.0.113.7", kBegin) > 0);
  CHECK(limit.wait_ns("::ffff:203.0.113.7", kBegin) > 0);
  CHECK(limit.wait_ns("2001:db8:1:2::1", kBegin) == 0);
  CHECK(limit.wait_ns("2001:db8:1:2:ffff::9", kBegin) > 0);
  CHECK(limit.wait_ns("2001:db8:1:3::1", kBegin) == 0);
  for (int i = 0; i < 3; ++i) CHECK(limit.wait_ns("no address", kBegin) == 0);
}

TEST_CASE("rate limit: no rule is no limit, and a rule can be changed", "[collector]") {
  RateLimit limit({}, 1);
  CHECK_FALSE(limit.is_on());
  for (int i = 0; i < 9; ++i) CHECK(limit.wait_ns("203.0.113.7", kBegin) == 0);
  limit.set({1, 1});
  CHECK(limit.is_on());
  CHECK(limit.wait_ns("203.0.113.7", kBegin) == 0);
  CHECK(limit.wait_ns("203.0.113.7", kBegin) > 0);
  limit.set({});
  CHECK(limit.wait_ns("203.0.113.7", kBegin) == 0);
}

TEST_CASE("rate limit: equals a naive model for those it remembers, and never refuses more",
          "[collector]") {
  const uint64_t seed = GENERATE(1, 2, 3);
  CAPTURE(seed);
  Random random(seed);
  constexpr int kRate = 20;
  constexpr int kBurst = 5;
  RateLimit limit({kRate, kBurst}, seed);
  // A bucket of tokens, in nanoseconds so that it is exact.
  struct Bucket {
    int64_t level = kBurst * 50 * kMs;
    int64_t at = kBegin;
  };
  std::map<std::string, Bucket> model;
  int64_t now = kBegin;
  for (int i = 0; i < 20'000; ++i) {
    now += static_cast<int64_t>(random.below(3)) * kMs;
    const std::string ip = "203.0.113." + std::to_string(random.below(40));
    Bucket& bucket = model.try_emplace(ip).first->second;
    bucket.level = std::min<int64_t>(kBurst * 50 * kMs, bucket.level + now - bucket.at);
    bucket.at = now;
    const bool may = bucket.level >= 50 * kMs;
    if (may) bucket.level -= 50 * kMs;
    REQUIRE((limit.wait_ns(ip, now) == 0) == may);
  }
}

TEST_CASE("rate limit: strangers beyond the table's bound only let somebody through",
          "[collector]") {
  RateLimit limit({1, 1}, 7);
  Random random(7);
  for (int i = 0; i < 200'000; ++i) {
    const std::string ip = "10." + std::to_string(i >> 16) + "." + std::to_string(i >> 8 & 255) +
                           "." + std::to_string(i & 255);
    // Each is new: nobody has to wait for what another did.
    REQUIRE(limit.wait_ns(ip, kBegin + static_cast<int64_t>(random.below(1'000))) == 0);
  }
}

}  // namespace clickmill::collector
