#include <catch2/catch.hpp>
#include <limits>

#include "base/random.h"
#include "log/entry.h"
#include "log/sealed_model.h"

namespace clickmill::log {
namespace {

TEST_CASE("row codec: decodes what it encoded", "[log]") {
  const RowCodec codec;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    for (const auto& block : random_blocks(random, 5)) {
      const auto decoded = codec.decode(codec.encode(block));
      REQUIRE(decoded);
      REQUIRE(text_of(*decoded) == text_of(block));
    }
  }
}

TEST_CASE("row codec: keeps extreme numbers, gaps and steps back", "[log]") {
  constexpr auto kMax = std::numeric_limits<uint64_t>::max();
  constexpr auto kLatest = std::numeric_limits<int64_t>::max();
  constexpr auto kEarliest = std::numeric_limits<int64_t>::min();
  const Block block{
      {Offset(kMax), 0xffffffff, 255, Term(kMax), LogMs(kEarliest), std::string(1, '\0')},
      {Offset(0), 1, 0, Term(0), LogMs(kLatest), ""},
      {Offset(500), 1, 7, Term(kMax / 2), LogMs(-1), "payload"}};
  const RowCodec codec;
  CHECK(text_of(codec.decode(codec.encode(block)).value()) == text_of(block));
  CHECK(codec.decode(codec.encode({})).value().empty());
}

TEST_CASE("row codec: refuses bytes that it can't have written", "[log]") {
  const RowCodec codec;
  const Block block{{Offset(7), 3, 1, Term(2), LogMs(1000), "abc"},
                    {Offset(10), 1, 1, Term(2), LogMs(1000), "defg"}};
  const std::string bytes = codec.encode(block);
  for (size_t length = 0; length < bytes.size(); ++length) {
    CAPTURE(length);
    const auto decoded = codec.decode(bytes.substr(0, length));
    REQUIRE_FALSE(decoded);
    REQUIRE(decoded.error().code() == Errc::corrupt);
  }
  CHECK_FALSE(codec.decode(bytes + "x"));
  // A count of 2^63 must not allocate.
  CHECK_FALSE(codec.decode(std::string(9, '\xff') + '\x01'));
  std::string zero_count = bytes;
  zero_count[2] = 0;
  CHECK_FALSE(codec.decode(zero_count));
}

TEST_CASE("row codec: random bytes neither crash nor allocate without bound", "[log]") {
  const RowCodec codec;
  Random random(5);
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes;
    const uint64_t length = random.below(40);
    for (uint64_t j = 0; j < length; ++j) bytes.push_back(static_cast<char>(random.below(9)));
    const auto decoded = codec.decode(bytes);
    if (decoded) REQUIRE(decoded->size() <= bytes.size());
  }
}

}  // namespace
}  // namespace clickmill::log
