#include "dedup/recent_ids.h"

#include <catch2/catch.hpp>

#include "base/random.h"

namespace clickmill::dedup {
namespace {

TEST_CASE("recent ids: what many of them took is given back with them", "[dedup][memory]") {
  RecentIds ids;
  Random random(1);
  const auto insert = [&](size_t count) {
    for (size_t i = 0; i < count; ++i) ids.insert({random.next(), random.next()}, LogHour(1));
  };
  insert(100'000);
  CHECK(ids.memory_bytes() > 100'000 * (sizeof(Hash128) + 8));
  ids.clear();
  CHECK(ids.empty());
  CHECK(ids.memory_bytes() < 1024);
  insert(100);
  ids.clear();
  CHECK(ids.memory_bytes() < 16'384);
  const Hash128 id{random.next(), random.next()};
  ids.insert(id, LogHour(2));
  CHECK(ids.newest_hour(id) == LogHour(2));
  CHECK(ids.size() == 1);
}

}  // namespace
}  // namespace clickmill::dedup
