#include "dedup/id_table.h"

#include <algorithm>
#include <bit>
#include <catch2/catch.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"

namespace clickmill::dedup {
namespace {

constexpr int64_t kFirstBand = 1'000;

Hash128 id_of(uint64_t n) {
  Random random(n);
  return {random.next(), random.next()};
}

bool may_stand(const IdTable& table, const Hash128& id, int64_t band) {
  const auto match = table.find(id);
  const int64_t offset = band - match.first_band;
  return offset < 0 || (offset < 32 && (match.bands >> offset & 1) != 0);
}

/// Ids 1, 2, … with the band of each; bands go on by a step now and then.
class Filled {
 public:
  explicit Filled(uint64_t seed) : table(kFirstBand), random_(seed) {}
  void add(uint64_t ids, uint64_t step_one_in) {
    for (uint64_t i = 0; i < ids; ++i) {
      if (random_.one_in(step_one_in)) newest += 1 + static_cast<int64_t>(random_.below(2));
      bands_.push_back(newest);
      table.insert(id_of(bands_.size()), newest);
    }
  }
  void forget_before(int64_t band) {
    table.forget_before(band);
    live_from = std::max(live_from, band);
  }
  /// How many live ids are not found where they stand.
  uint64_t lost(const IdTable& in) const {
    uint64_t lost = 0;
    for (uint64_t n = 1; n <= bands_.size(); ++n) {
      const int64_t band = bands_[n - 1];
      if (band >= live_from && !may_stand(in, id_of(n), band)) ++lost;
    }
    return lost;
  }
  IdTable table;
  int64_t newest = kFirstBand;
  int64_t live_from = kFirstBand;

 private:
  Random random_;
  std::vector<int64_t> bands_;
};

IdTable copy_of(const IdTable& table, int64_t newest_band) {
  IdTable copy(kFirstBand);
  for (size_t i = 0; i < IdTable::kShards; ++i) {
    std::string bytes;
    table.encode_shard(i, bytes);
    REQUIRE(copy.decode_shard(i, bytes, newest_band));
  }
  return copy;
}

}  // namespace

TEST_CASE("id table: an id is found however often the table grows and forgets", "[dedup]") {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    CAPTURE(seed);
    Filled filled(seed);
    Random random(seed);
    for (int step = 0; step < 12; ++step) {
      filled.add(random.below(12'000), 1 + random.below(5'000));
      if (random.one_in(3))
        filled.forget_before(filled.newest - static_cast<int64_t>(random.below(30)));
      CHECK(filled.lost(filled.table) == 0);
    }
    CHECK(filled.table.used() <= filled.table.slots() + filled.table.slots() / 10);
  }
}

TEST_CASE("id table: ids from before many doublings are found, though bits of them are lost",
          "[dedup]") {
  // All in one shard of the 32, which so doubles eight times or more.
  const auto in_one_shard = [](uint64_t n) {
    auto id = id_of(n);
    id.high &= ~(uint64_t{31} << 59);
    return id;
  };
  IdTable table(kFirstBand);
  const auto band_of = [](uint64_t n) {
    return kFirstBand + static_cast<int64_t>(std::bit_width(n)) / 2;
  };
  constexpr uint64_t kIds = 300'000;
  for (uint64_t n = 1; n <= kIds; ++n) table.insert(in_one_shard(n), band_of(n));
  uint64_t lost = 0;
  for (uint64_t n = 1; n <= kIds; ++n)
    lost += may_stand(table, in_one_shard(n), band_of(n)) ? 0 : 1;
  CHECK(lost == 0);
  CHECK(table.slots() > 128 * 64 * 18);
  uint64_t matches = 0;
  for (uint64_t n = 1; n <= 50'000; ++n) {
    matches += table.find(in_one_shard(1'000'000'000 + n)).bands != 0 ? 1 : 0;
  }
  CHECK(matches < 2'500);
}

TEST_CASE("id table: a shard filled anew has all of its bits", "[dedup]") {
  IdTable table(kFirstBand);
  const auto matches = [&] {
    uint64_t found = 0;
    for (uint64_t n = 1; n <= 50'000; ++n)
      found += table.find(id_of(1'000'000'000 + n)).bands != 0 ? 1 : 0;
    return found;
  };
  constexpr uint64_t kIds = 600'000;
  for (uint64_t n = 1; n <= kIds; ++n) table.insert(id_of(n), kFirstBand);
  const uint64_t blunt = matches();
  size_t shards = 0;
  for (; const auto shard = table.bluntest_shard(); ++shards) {
    REQUIRE(shards < IdTable::kShards);
    IdTable fresh = table.empty_like(*shard);
    for (uint64_t n = 1; n <= kIds; ++n) {
      if (IdTable::shard_of(id_of(n)) == *shard) fresh.insert(id_of(n), kFirstBand);
    }
    table.take_shard(*shard, std::move(fresh));
  }
  CHECK(shards == IdTable::kShards);
  CHECK(table.used() == kIds);
  CHECK(matches() * 2 < blunt);
  uint64_t lost = 0;
  for (uint64_t n = 1; n <= kIds; ++n) lost += may_stand(table, id_of(n), kFirstBand) ? 0 : 1;
  CHECK(lost == 0);
}

TEST_CASE("id table: about one new id in 200 matches falsely, and fewer than 4 bytes hold one",
          "[dedup]") {
  Filled filled(1);
  filled.add(300'000, 12'000);
  uint64_t matches = 0;
  for (uint64_t n = 1; n <= 100'000; ++n) {
    matches += filled.table.find(id_of(1'000'000'000 + n)).bands != 0 ? 1 : 0;
  }
  CHECK(matches < 1'000);
  CHECK(filled.table.memory_bytes() < 4 * 300'000);
}

TEST_CASE("id table: a copy of its shards finds the same and grows on", "[dedup]") {
  for (const uint64_t ids : {0, 5, 3'000, 60'000}) {
    CAPTURE(ids);
    Filled filled(ids + 1);
    filled.add(ids, 2'000);
    IdTable copy = copy_of(filled.table, filled.newest);
    CHECK(copy.used() == filled.table.used());
    CHECK(copy.memory_bytes() <= filled.table.memory_bytes());
    bool same = true;
    for (uint64_t n = 1; n <= 2 * ids; ++n) {
      const auto here = filled.table.find(id_of(n));
      const auto there = copy.find(id_of(n));
      same = same && here.first_band == there.first_band && here.bands == there.bands;
    }
    CHECK(same);
    std::swap(filled.table, copy);
    filled.add(60'000, 2'000);
    CHECK(filled.lost(filled.table) == 0);
  }
}

TEST_CASE("id table: bytes that are no shard are refused, whatever they are", "[dedup]") {
  Filled filled(3);
  filled.add(20'000, 500);
  std::string good;
  filled.table.encode_shard(7, good);
  IdTable table(kFirstBand);
  CHECK(table.decode_shard(7, good, filled.newest));
  CHECK_FALSE(table.decode_shard(7, good, filled.newest - 1));
  CHECK_FALSE(table.decode_shard(7, good + '\0', filled.newest));
  Random random(1);
  for (int i = 0; i < 2'000; ++i) {
    std::string bad = good;
    if (random.one_in(3)) bad.resize(random.below(good.size()));
    for (uint64_t flips = random.below(4); flips > 0 && !bad.empty(); --flips) {
      const size_t at =
          random.below(random.one_in(2) ? std::min<size_t>(bad.size(), 64) : bad.size());
      bad[at] = static_cast<char>(random.next());
    }
    // Some damage can't be told without a checksum; then it must do no harm either.
    if (!table.decode_shard(7, bad, filled.newest)) continue;
    for (uint64_t n = 1; n <= 50; ++n) {
      const auto id = id_of(n);
      table.find(id);
      table.insert(id, filled.newest);
    }
  }
}

}  // namespace clickmill::dedup
