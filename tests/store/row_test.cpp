#include "store/row.h"

#include <map>

#include "store/store_fixture.h"

namespace clickmill::store {
namespace {

TEST_CASE("row: counts keep countries sorted, whatever the order of adds and merges", "[store]") {
  const uint64_t seed = GENERATE(range(uint64_t{1}, uint64_t{30}));
  CAPTURE(seed);
  Random random(seed);
  std::map<click::Country, uint64_t> model;
  std::array<uint64_t, click::kDevices> devices{};
  Counts counts;
  uint64_t clicks = 0;
  for (int part = 0; part < 5; ++part) {
    Counts more;
    for (uint64_t i = random.below(50); i > 0; --i) {
      const auto country = static_cast<click::Country>(random.below(20) * 977);
      const auto device = random.below(click::kDevices);
      more.add(static_cast<click::Device>(device), country);
      ++model[country];
      ++devices[device];
      ++clicks;
    }
    counts.merge(more);
  }
  CHECK(counts.clicks == clicks);
  CHECK(counts.devices == devices);
  const std::vector<std::pair<click::Country, uint64_t>> want(model.begin(), model.end());
  CHECK(counts.countries == want);
}

TEST_CASE("row: key order is advertiser, ad, people before machines, bucket", "[store]") {
  Random random(1);
  const Row first = random_row(random, "a", "z", 120'000, 1);
  const Row second = random_row(random, "b", "a", 60'000, 1);
  const Row third = random_row(random, "b", "b", 0, 1);
  const Row fourth = random_row(random, "b", "b", 60'000, 1);
  CHECK(key_less(first, second));
  CHECK(key_less(second, third));
  CHECK(key_less(third, fourth));
  CHECK_FALSE(key_less(fourth, third));
  CHECK_FALSE(same_key(fourth, third));
  CHECK(same_key(fourth, random_row(random, "b", "b", 60'000, 5)));
  Row machines = third;
  machines.automated = true;
  CHECK(key_less(fourth, machines));
  CHECK_FALSE(same_key(third, machines));
}

TEST_CASE("row: its bytes give it back", "[store]") {
  const uint64_t seed = GENERATE(range(uint64_t{1}, uint64_t{20}));
  CAPTURE(seed);
  Random random(seed);
  Row row = random_row(random, "adv", "ad", -60'000, random.below(100));
  if (seed == 1) row.counts = Counts{UINT64_MAX, {UINT64_MAX, 0, 1, 2}, {{0, UINT64_MAX}}};
  row.automated = seed % 3 == 0;
  std::string bytes = "x";
  encode_row(row, bytes);
  bytes += "rest";
  ByteCursor cursor(bytes);
  cursor.u8();
  auto back = decode_row(cursor);
  REQUIRE(back);
  CHECK(*back == row);
  CHECK(cursor.rest() == "rest");
}

TEST_CASE("row: cut bytes and a newer version are refused", "[store]") {
  Random random(3);
  std::string bytes;
  encode_row(random_row(random, "adv", "ad", 60'000, 40), bytes);
  for (size_t size = 0; size < bytes.size(); ++size) {
    ByteCursor cursor(std::string_view(bytes).substr(0, size));
    auto row = decode_row(cursor);
    CAPTURE(size);
    REQUIRE_FALSE(row);
    CHECK(row.error().code() == Errc::corrupt);
  }
  bytes[0] = 3;
  ByteCursor cursor(bytes);
  auto row = decode_row(cursor);
  REQUIRE_FALSE(row);
  CHECK(row.error().message() == "row: version 3, this program reads up to 2");
}

TEST_CASE("row: random damage gives a row or an error", "[store]") {
  Random random(4);
  std::string bytes;
  encode_row(random_row(random, "adv", "ad", 60'000, 40), bytes);
  for (int i = 0; i < 2'000; ++i) {
    std::string damaged = bytes;
    damaged[random.below(damaged.size())] = static_cast<char>(random.next());
    damaged[random.below(damaged.size())] = static_cast<char>(random.next());
    ByteCursor cursor(damaged);
    auto row = decode_row(cursor);
    if (row) CHECK(std::is_sorted(row->counts.countries.begin(), row->counts.countries.end()));
  }
}

}  // namespace
}  // namespace clickmill::store
