#include "sketch/hll.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <limits>
#include <memory>

#include "base/checksum.h"
#include "base/random.h"
#include "sketch/estimate.h"

namespace clickmill::sketch {
namespace {

std::vector<uint64_t> random_hashes(uint64_t seed, size_t count) {
  Random random(seed);
  std::vector<uint64_t> hashes(count);
  for (auto& hash : hashes) hash = random.next();
  return hashes;
}

/// Hashes that share few prefixes but many ranks, so that equal prefixes of
/// different rank and the highest ranks occur.
std::vector<uint64_t> crowded_hashes(uint64_t seed, size_t count) {
  Random random(seed);
  std::vector<uint64_t> hashes(count);
  for (auto& hash : hashes) {
    const uint64_t index = random.below(64) << 52;
    const auto shift = random.below(54);
    const uint64_t rest = shift >= 52 ? random.below(2) : random.next() << 12 >> 12 >> shift;
    hash = index | rest;
  }
  return hashes;
}

Hll sketch_of(const std::vector<uint64_t>& hashes) {
  Hll sketch;
  for (const uint64_t hash : hashes) sketch.add(hash);
  return sketch;
}

void shuffle(std::vector<uint64_t>& hashes, Random& random) {
  for (size_t i = hashes.size(); i > 1; --i) std::swap(hashes[i - 1], hashes[random.below(i)]);
}

/// The registers by the definition, to compare with.
Registers naive_registers(const std::vector<uint64_t>& hashes) {
  Registers registers{};
  for (const uint64_t hash : hashes) {
    uint8_t rank = 1;
    for (int bit = 51; bit >= 0 && (hash >> bit & 1) == 0; --bit) ++rank;
    uint8_t& place = registers[hash >> 52];
    place = std::max(place, rank);
  }
  return registers;
}

double relative_error(uint64_t seed, size_t count) {
  Random random(seed);
  Hll sketch;
  for (size_t i = 0; i < count; ++i) sketch.add(random.next());
  return static_cast<double>(sketch.estimate()) / static_cast<double>(count) - 1;
}

struct ErrorRow {
  double rms = 0;
  double mean = 0;
  double worst = 0;
};

ErrorRow errors_of(size_t count, uint64_t seeds) {
  ErrorRow row;
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    const double error = relative_error(seed * 1'000'003 + count, count);
    row.rms += error * error;
    row.mean += error;
    row.worst = std::max(row.worst, std::abs(error));
  }
  row.rms = std::sqrt(row.rms / static_cast<double>(seeds));
  row.mean /= static_cast<double>(seeds);
  return row;
}

const std::vector<size_t> kSizes = {0,    1,    2,    12,   100,  500,  1000,
                                    1023, 1024, 1025, 1030, 1100, 2000, 30'000};

}  // namespace

TEST_CASE("hll: an empty sketch estimates 0 and takes no bytes", "[sketch]") {
  const Hll sketch;
  CHECK(sketch.empty());
  CHECK(sketch.estimate() == 0);
  CHECK(sketch.serialize().empty());
  CHECK(sketch.memory_bytes() == 0);
  const auto parsed = Hll::parse("");
  REQUIRE(parsed);
  CHECK(parsed->empty());
  CHECK(*parsed == sketch);
}

TEST_CASE("hll: adding a hash again changes nothing", "[sketch]") {
  const size_t count = GENERATE(from_range(kSizes));
  const auto hashes = random_hashes(7, count);
  Hll sketch = sketch_of(hashes);
  const std::string once = sketch.serialize();
  for (const uint64_t hash : hashes) sketch.add(hash);
  CHECK(sketch.serialize() == once);
}

TEST_CASE("hll: bytes don't depend on order, merges or partition", "[sketch]") {
  const uint64_t seed = GENERATE(1, 2, 3);
  const size_t count = GENERATE(from_range(kSizes));
  const bool crowded = GENERATE(false, true);
  CAPTURE(seed, count, crowded);
  Random random(seed);
  auto hashes = crowded ? crowded_hashes(seed, count) : random_hashes(seed, count);
  const std::string want = sketch_of(hashes).serialize();

  shuffle(hashes, random);
  CHECK(sketch_of(hashes).serialize() == want);

  // Overlapping shares of random sizes, merged in both ways.
  std::vector<Hll> shares(1 + random.below(6));
  for (const uint64_t hash : hashes) {
    shares[random.below(1 + random.below(shares.size()))].add(hash);
    if (random.one_in(4)) shares[random.below(shares.size())].add(hash);
  }
  Hll merged;
  Hll from_bytes;
  for (const Hll& share : shares) {
    merged.merge(share);
    REQUIRE(from_bytes.merge_serialized(share.serialize()));
  }
  CHECK(merged.serialize() == want);
  CHECK(from_bytes.serialize() == want);
  CHECK(merged == from_bytes);
}

TEST_CASE("hll: merging with itself, copying and moving keep the set", "[sketch]") {
  const size_t count = GENERATE(from_range(kSizes));
  Hll sketch = sketch_of(random_hashes(11, count));
  const std::string want = sketch.serialize();
  sketch.merge(sketch);
  CHECK(sketch.serialize() == want);
  Hll copy = sketch;
  copy.add(0);  // the highest rank: changes registers too
  CHECK(sketch.serialize() == want);
  CHECK_FALSE(copy == sketch);
  copy = sketch;
  CHECK(copy == sketch);
  const Hll moved = std::move(copy);
  CHECK(moved.serialize() == want);
}

TEST_CASE("hll: parse gives back what was serialized", "[sketch]") {
  const uint64_t seed = GENERATE(1, 2, 3, 4, 5);
  const size_t count = GENERATE(from_range(kSizes));
  const bool crowded = GENERATE(false, true);
  CAPTURE(seed, count, crowded);
  const Hll sketch = sketch_of(crowded ? crowded_hashes(seed, count) : random_hashes(seed, count));
  const std::string bytes = sketch.serialize();
  const auto parsed = Hll::parse(bytes);
  REQUIRE(parsed);
  CHECK(*parsed == sketch);
  CHECK(parsed->serialize() == bytes);
  CHECK(parsed->estimate() == sketch.estimate());
}

TEST_CASE("hll: dense registers are those of the definition", "[sketch]") {
  const uint64_t seed = GENERATE(1, 2, 3);
  CAPTURE(seed);
  auto hashes = random_hashes(seed, 1100);
  const auto crowded = crowded_hashes(seed, 3000);
  hashes.insert(hashes.end(), crowded.begin(), crowded.end());
  // All of a register's 52 bits are zero: the highest rank.
  hashes.push_back(uint64_t{77} << 52);
  Registers registers;
  REQUIRE(decode_dense(sketch_of(hashes).serialize(), registers));
  CHECK(registers == naive_registers(hashes));
  CHECK(registers[77] == kRankMax);
}

TEST_CASE("hll: entries keep the rank of their hash", "[sketch]") {
  for (const auto& hashes : {random_hashes(5, 2000), crowded_hashes(5, 2000)}) {
    std::vector<std::pair<uint64_t, uint64_t>> got;
    std::vector<std::pair<uint64_t, uint64_t>> want;
    for (const uint64_t hash : hashes) {
      got.emplace_back(register_of(entry_of_hash(hash)), rank_of(entry_of_hash(hash)));
      want.emplace_back(hash >> 52, naive_registers({hash})[hash >> 52]);
    }
    CHECK(got == want);
  }
}

TEST_CASE("hll: the form turns dense after 1,024 distinct prefixes", "[sketch]") {
  Hll sketch;
  for (uint64_t i = 0; i < kEntriesMax; ++i) sketch.add(i << (64 - kPrefixBits) | 1);
  CHECK(sketch.serialize()[0] != 0x10);
  CHECK(sketch.estimate() == 1028);  // linear counting expects 4 collisions among them
  sketch.add(uint64_t{kEntriesMax - 1} << (64 - kPrefixBits) | 2);
  CHECK(sketch.serialize()[0] != 0x10);
  sketch.add(uint64_t{kEntriesMax} << (64 - kPrefixBits));
  CHECK(sketch.serialize()[0] == 0x10);
  CHECK(sketch.memory_bytes() == 4096);
}

TEST_CASE("hll: no visitor lowers the estimate, and no union is below its parts", "[sketch]") {
  const uint64_t seed = GENERATE(range<uint64_t>(1, 21));
  CAPTURE(seed);
  Hll whole;
  Hll part;
  uint64_t before = 0;
  uint64_t fell = 0;
  uint64_t below_part = 0;
  for (const uint64_t hash : random_hashes(seed, 3000)) {
    whole.add(hash);
    if (hash % 8 != 0) part.add(hash);
    const uint64_t now = whole.estimate();
    fell += now < before ? 1 : 0;
    below_part += now < part.estimate() ? 1 : 0;
    before = now;
  }
  CHECK(fell == 0);
  CHECK(below_part == 0);
}

TEST_CASE("hll: the least dense estimate follows the highest sparse one", "[sketch]") {
  CHECK(estimate_sparse(kEntriesMax) == kDenseLeast - 1);
  CHECK(estimate_sparse(kEntriesMax + 1) == kDenseLeast);
  // 33 registers are full of prefixes, which looks like far fewer visitors.
  Hll sketch;
  for (uint64_t i = 0; i <= kEntriesMax; ++i) sketch.add(i << (64 - kPrefixBits) | 1);
  CHECK(sketch.serialize()[0] == 0x10);
  CHECK(sketch.estimate() == kDenseLeast);
}

TEST_CASE("hll: estimates that an older file may hold too low are told", "[sketch]") {
  CHECK_FALSE(may_be_older(899));
  CHECK(may_be_older(900));
  CHECK(may_be_older(kDenseLeast - 1));
  CHECK_FALSE(may_be_older(kDenseLeast));
}

TEST_CASE("hll: up to 500 visitors are counted within 0.5 percent", "[sketch]") {
  const size_t count = GENERATE(1, 2, 3, 5, 12, 25, 50, 100, 200, 300, 400, 500);
  CAPTURE(count);
  CHECK(errors_of(count, 100).rms <= 0.005);
}

TEST_CASE("hll: the standard error stays under 2 percent", "[sketch]") {
  const size_t count =
      GENERATE(1000, 1024, 1200, 2000, 5000, 10'000, 20'000, 50'000, 100'000, 1'000'000);
  CAPTURE(count);
  const ErrorRow row = errors_of(count, 10);
  CHECK(row.rms <= 0.02);
  CHECK(std::abs(row.mean) <= 0.015);
}

TEST_CASE("hll: twelve visitors take 24 bytes or fewer on average", "[sketch]") {
  size_t bytes = 0;
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    bytes += sketch_of(random_hashes(seed * 31, 12)).serialize().size();
  }
  CHECK(static_cast<double>(bytes) / 2000 <= 24);
}

TEST_CASE("hll: a dense sketch takes at most 1.7 KiB", "[sketch]") {
  const size_t count = GENERATE(1100, 3000, 10'000, 100'000);
  CAPTURE(count);
  CHECK(sketch_of(random_hashes(3, count)).serialize().size() <= 1740);
}

TEST_CASE("hll: damaged bytes are refused or are another sketch's", "[sketch]") {
  const size_t count = GENERATE(1, 2, 12, 100, 1000, 1024, 1100, 50'000);
  CAPTURE(count);
  const std::string bytes = sketch_of(random_hashes(count, count)).serialize();
  Hll target = sketch_of(random_hashes(99, 3));
  const std::string before = target.serialize();
  std::vector<std::string> wrong;
  const auto try_bytes = [&](const std::string& damaged) {
    const auto parsed = Hll::parse(damaged);
    if (parsed) {
      ignore(parsed->estimate(), "any will do, it must only come to an end");
      if (parsed->serialize() != damaged) wrong.push_back(damaged);
      return;
    }
    if (parsed.error().code() != Errc::corrupt) wrong.push_back(damaged);
    if (target.merge_serialized(damaged) || target.serialize() != before) wrong.push_back(damaged);
  };
  const size_t step = 1 + bytes.size() / 300;
  for (size_t bit = 0; bit < bytes.size() * 8; bit += step) {
    std::string flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ 1 << bit % 8);
    try_bytes(flipped);
  }
  for (size_t size = 0; size < bytes.size(); size += step) try_bytes(bytes.substr(0, size));
  for (const char c : {'\x00', '\x01', '\x7f', '\xff'}) try_bytes(bytes + c);
  CHECK(wrong.empty());
}

TEST_CASE("hll: garbage is refused or canonical", "[sketch]") {
  const uint64_t seed = GENERATE(range(1, 6));
  CAPTURE(seed);
  Random random(seed);
  size_t wrong = 0;
  for (int i = 0; i < 4000; ++i) {
    std::string bytes(random.below(i % 100 == 0 ? 2000 : 40), '\0');
    for (char& c : bytes) c = static_cast<char>(random.next());
    // Half of them with a valid version, and some of a dense sketch's length.
    if (!bytes.empty() && i % 2 == 0) bytes[0] = static_cast<char>(0x10 | (bytes[0] & 0x0f));
    const auto parsed = Hll::parse(bytes);
    if (!parsed) continue;
    ignore(parsed->estimate(), "any will do, it must only come to an end");
    if (parsed->serialize() != bytes) ++wrong;
  }
  CHECK(wrong == 0);
}

TEST_CASE("hll: bytes that serialize() can't have written are corrupt", "[sketch]") {
  const auto [name, bytes] = GENERATE(table<std::string, std::string>({
      {"version 0", std::string("\x0f\x00\x00\x00", 4)},
      {"version 2", std::string("\x2f\x00\x00\x00", 4)},
      {"sparse without entries", "\x1f"},
      {"dense without registers", "\x10"},
      {"Rice parameter 1", "\x11\x02"},
      {"Rice parameter 14 for one entry", "\x1e\x02\x80"},
      {"prefix 2^17", std::string("\x1f\x0f\x00\xf0", 4)},
      {"a rank cut off", std::string("\x1f\x00\x00\xff", 4)},
      {"rank 54", std::string("\x1f\x00\x00\xff\xff\xff\xff\xff\xff\xfe", 10)},
      {"a whole byte of filling", std::string("\x1f\x02\x00\xff", 4)},
      {"a run of ones to the end", std::string("\x1f") + std::string(500, '\xff')},
      {"dense with all registers 0", std::string("\x10") + std::string(1537, '\0')},
      {"dense with base 54", std::string("\x10\x36") + std::string(1536, '\0')},
      {"dense with base 255", std::string("\x10\xff") + std::string(1536, '\0')},
  }));
  CAPTURE(name);
  const auto parsed = Hll::parse(bytes);
  REQUIRE_FALSE(parsed);
  CHECK(parsed.error().code() == Errc::corrupt);
}

TEST_CASE("hll: registers all at the highest rank still give a number", "[sketch]") {
  Registers registers;
  registers.fill(kRankMax);
  const auto parsed = Hll::parse(encode_dense(registers));
  REQUIRE(parsed);
  CHECK(parsed->estimate() == std::numeric_limits<int64_t>::max());
}

TEST_CASE("hll: one entry of the highest rank is valid", "[sketch]") {
  const std::string bytes("\x1f\x00\x00\xff\xff\xff\xff\xff\x7f", 9);
  const auto parsed = Hll::parse(bytes);
  REQUIRE(parsed);
  CHECK(*parsed == sketch_of({0}));
  CHECK(parsed->serialize() == bytes);
}

TEST_CASE("hll: version 1 keeps its bytes", "[sketch]") {
  const Hll sparse = sketch_of({1, 0x1234'5678'9abc'def0, uint64_t{1} << 63});
  CHECK(sparse.serialize() ==
        std::string("\x1e\x00\x80\xff\xff\xff\xff\xff\x9f\x33\xf2\x2e\xb7\xff\xff\xff\xff\xff\xbf",
                    19));
  const std::string dense = sketch_of(random_hashes(1, 5000)).serialize();
  CHECK(dense.size() == 1621);
  CHECK(xxh64_of(dense) == 0xfea3'1dee'82cb'3de9);
}

TEST_CASE("hll: error and size table", "[.table]") {
  std::printf("%9s %8s %8s %8s\n", "visitors", "rms %", "mean %", "worst %");
  for (const size_t count : {1, 2, 5, 12, 50, 100, 200, 500, 1000, 1024, 1100, 1500, 2000, 5000,
                             10'000, 20'000, 50'000, 100'000, 1'000'000}) {
    const ErrorRow row = errors_of(count, count < 50'000 ? 100 : 10);
    std::printf("%9zu %8.3f %8.3f %8.3f\n", count, row.rms * 100, row.mean * 100, row.worst * 100);
  }
  std::printf("%9s %8s %8s\n", "visitors", "bytes", "memory");
  for (const size_t count : {1, 12, 100, 1000, 10'000, 100'000}) {
    size_t bytes = 0;
    size_t memory = 0;
    for (uint64_t seed = 0; seed < 50; ++seed) {
      const Hll sketch = sketch_of(random_hashes(seed * 77 + count, count));
      bytes += sketch.serialize().size();
      memory += sketch.memory_bytes();
    }
    std::printf("%9zu %8.1f %8.1f\n", count, static_cast<double>(bytes) / 50,
                static_cast<double>(memory) / 50);
  }
}

TEST_CASE("hll: time of adds and merges", "[.table]") {
  const auto report = [](const char* what, size_t operations, auto&& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    std::printf("%-44s %8.1f ns\n", what, took.count() * 1e9 / static_cast<double>(operations));
  };
  constexpr size_t kAdds = 3'000'000;
  for (const size_t per_sketch : {12, 100, 1000}) {
    std::vector<Hll> sketches(kAdds / per_sketch);
    Random random(1);
    const std::string what = "adds, sketches of " + std::to_string(per_sketch) + " in random order";
    report(what.c_str(), kAdds, [&] {
      for (size_t i = 0; i < kAdds; ++i) sketches[random.below(sketches.size())].add(random.next());
    });
  }
  Hll dense = sketch_of(random_hashes(2, 5000));
  report("adds, one dense sketch", kAdds, [&] {
    Random random(3);
    for (size_t i = 0; i < kAdds; ++i) dense.add(random.next());
  });
  for (const size_t count : {12, 100, 1000, 100'000}) {
    const std::string bytes = sketch_of(random_hashes(4, count)).serialize();
    constexpr size_t kMerges = 20'000;
    const std::string what = "merge_serialized into dense, " + std::to_string(count) + " visitors";
    report(what.c_str(), kMerges, [&] {
      for (size_t i = 0; i < kMerges; ++i) REQUIRE(dense.merge_serialized(bytes));
    });
    const Hll other = sketch_of(random_hashes(4, count));
    report("  serialize", kMerges, [&] {
      size_t total = 0;
      for (size_t i = 0; i < kMerges; ++i) total += other.serialize().size();
      CHECK(total > 0);
    });
  }
}

}  // namespace clickmill::sketch
