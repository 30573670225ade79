#include "sketch/union.h"

#include <catch2/catch.hpp>

#include "base/random.h"

namespace clickmill::sketch {
namespace {

/// A few visitors, or so many that the sketch is dense; sometimes of a few registers only, so
/// that prefixes which leave the rank open come again with another one.
Hll random_sketch(Random& random) {
  static constexpr uint64_t kSizes[] = {0, 1, 12, 300, 1023, 1100, 4000};
  Hll sketch;
  const uint64_t size = kSizes[random.below(std::size(kSizes))];
  const uint64_t pool = random.one_in(2) ? 5'000 : 1'000'000'000;
  const bool crowded = random.one_in(4);
  for (uint64_t i = 0; i < size; ++i) {
    uint64_t hash = Random(random.below(pool)).next();
    if (crowded) hash = hash >> 63 << 60 | (hash << 12 >> 12 >> random.below(40));
    sketch.add(hash);
  }
  return sketch;
}

}  // namespace

TEST_CASE("union: of any sketches it estimates what merging them does", "[sketch]") {
  Random random(5);
  Union scratch;
  Union all;
  for (int round = 0; round < 200; ++round) {
    Hll merged;
    Gathering gathering;
    all.clear();
    const uint64_t count = random.below(12);
    for (uint64_t i = 0; i < count; ++i) {
      const Hll sketch = random_sketch(random);
      merged.merge(sketch);
      if (random.one_in(2)) {
        gathering.add(sketch, scratch);
      } else {
        REQUIRE(gathering.add_serialized(sketch.serialize(), scratch));
      }
    }
    gathering.add_to(all);
    REQUIRE(all.estimate() == merged.estimate());
    REQUIRE(all.serialize() == merged.serialize());
    REQUIRE(all.is_dense() == (merged.dense() != nullptr));
    if (all.is_dense()) {
      REQUIRE(all.registers() == *merged.dense());
    } else {
      std::vector<Entry> entries;
      all.entries(entries);
      REQUIRE(std::equal(entries.begin(), entries.end(), merged.sparse().begin(),
                         merged.sparse().end()));
    }
  }
}

TEST_CASE("union: bytes that are no sketch are refused, and change nothing", "[sketch]") {
  Random random(6);
  Union scratch;
  Gathering gathering;
  Hll some;
  for (int i = 0; i < 50; ++i) some.add(random.next());
  gathering.add(some, scratch);
  std::string bytes = some.serialize();
  for (const std::string& wrong :
       {bytes.substr(0, bytes.size() - 1), std::string("\x20"), bytes + '\0'}) {
    const auto added = gathering.add_serialized(wrong, scratch);
    REQUIRE_FALSE(added);
    REQUIRE(added.error().code() == Errc::corrupt);
  }
  REQUIRE(gathering.add_serialized("", scratch));
  Union all;
  gathering.add_to(all);
  REQUIRE(all.estimate() == some.estimate());
}

}  // namespace clickmill::sketch
