#include "store/encoding.h"

#include <catch2/catch.hpp>

#include "base/random.h"

namespace clickmill::store {
namespace {

using Column = std::vector<uint64_t>;

std::string encoded(const Column& values) {
  std::string bytes;
  BitWriter writer(bytes);
  encode_column(values, writer);
  writer.finish();
  return bytes;
}

/// A value of up to `bits` bits, small ones as likely as large ones.
uint64_t any_value(Random& random, unsigned bits) {
  const uint64_t width = random.below(bits + 1);
  return width == 0 ? 0 : random.next() >> (64 - width);
}

Column random_column(Random& random) {
  Column values(random.below(300));
  const auto bits = static_cast<unsigned>(random.below(65));
  const uint64_t base = random.one_in(2) ? random.next() : 0;
  const uint64_t nonzero = 1 + random.below(40);
  const bool sparse = random.one_in(3);
  for (uint64_t& value : values) {
    if (!sparse || random.one_in(nonzero)) value = base + any_value(random, bits);
  }
  return values;
}

TEST_CASE("bits: numbers of every width come back in order", "[store]") {
  const uint64_t seed = GENERATE(range(uint64_t{1}, uint64_t{20}));
  CAPTURE(seed);
  Random random(seed);
  std::vector<std::pair<uint64_t, unsigned>> numbers;
  std::string bytes;
  BitWriter writer(bytes);
  for (int i = 0; i < 500; ++i) {
    const auto width = static_cast<unsigned>(random.below(65));
    numbers.emplace_back(width == 0 ? 0 : random.next() >> (64 - width), width);
    writer.put(numbers.back().first, width);
  }
  writer.finish();
  BitReader reader(bytes);
  bool same = true;
  for (const auto& [value, width] : numbers) same = same && reader.get(width) == value;
  CHECK(same);
  CHECK(reader.ok());
  CHECK(reader.rest().empty());
  // Seven bits of padding may be left, not eight.
  reader.get(8);
  CHECK_FALSE(reader.ok());
}

TEST_CASE("encoding: any column comes back", "[store]") {
  const uint64_t seed = GENERATE(range(uint64_t{1}, uint64_t{300}));
  CAPTURE(seed);
  Random random(seed);
  const Column values = random_column(random);
  const std::string bytes = encoded(values);
  Column back(values.size(), 7);
  BitReader reader(bytes);
  CHECK(decode_column(reader, back));
  CHECK(back == values);
  CHECK(reader.rest().empty());
}

TEST_CASE("encoding: regular columns take almost nothing", "[store]") {
  CHECK(encoded(Column(128, 0)).size() <= 2);
  CHECK(encoded(Column(128, 1)).size() <= 2);
  CHECK(encoded(Column(128, UINT64_MAX)).size() <= 10);
  Column one(128, 0);
  one[77] = 5;
  CHECK(encoded(one).size() <= 8);
  Column small(128, 0);
  for (size_t i = 0; i < small.size(); i += 2) small[i] = 1;
  CHECK(encoded(small).size() <= 20);
}

TEST_CASE("encoding: any shares come back", "[store]") {
  const uint64_t seed = GENERATE(range(uint64_t{1}, uint64_t{300}));
  CAPTURE(seed);
  Random random(seed);
  const Column limits = random_column(random);
  Column values(limits.size());
  const uint64_t part = 1 + random.below(8);
  for (size_t i = 0; i < limits.size(); ++i) {
    values[i] = random.one_in(3) ? limits[i] / part : random.below(limits[i]) + random.below(2);
    if (limits[i] == 0) values[i] = 0;
  }
  std::string bytes;
  BitWriter writer(bytes);
  encode_shares(limits, values, writer);
  writer.finish();
  Column back(limits.size(), 7);
  BitReader reader(bytes);
  CHECK(decode_shares(reader, limits, back));
  CHECK(back == values);
  CHECK(reader.rest().empty());
}

TEST_CASE("encoding: garbage gives false or numbers, never shares above their limits", "[store]") {
  const uint64_t seed = GENERATE(range(uint64_t{1}, uint64_t{500}));
  CAPTURE(seed);
  Random random(seed);
  std::string bytes(random.below(200), '\0');
  for (char& byte : bytes) byte = static_cast<char>(random.next());
  Column values(random.below(300));
  BitReader columns(bytes);
  while (columns.ok() && !columns.rest().empty() && decode_column(columns, values)) {
  }
  const Column limits = random_column(random);
  Column shares(limits.size());
  BitReader reader(bytes);
  if (decode_shares(reader, limits, shares)) {
    bool within = true;
    for (size_t i = 0; i < limits.size(); ++i) within = within && shares[i] <= limits[i];
    CHECK(within);
  }
}

}  // namespace
}  // namespace clickmill::store
