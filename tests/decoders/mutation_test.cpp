// What the fuzz targets check, on a few thousand seeded mutations of valid bytes.

#include <catch2/catch.hpp>

#include "decoders/decoders.h"

using namespace clickmill;

namespace {

/// Changes `bytes` in one of the ways that files rot and clients err.
void mutate(Random& random, std::string& bytes) {
  if (bytes.empty()) bytes = "x";
  const size_t at = random.below(bytes.size());
  switch (random.below(7)) {
    case 0: bytes[at] = static_cast<char>(bytes[at] ^ (1 << random.below(8))); break;
    case 1: bytes[at] = static_cast<char>(random.next()); break;
    case 2: bytes.resize(at); break;
    case 3: bytes.insert(at, bytes.substr(random.below(bytes.size()), random.below(40))); break;
    case 4: bytes.erase(at, 1 + random.below(20)); break;
    case 5: bytes[at] = random.one_in(2) ? '\xff' : '\0'; break;
    default: bytes += static_cast<char>(random.next());
  }
}

}  // namespace

TEST_CASE("decoders: keep their promises for mutated bytes", "[decoders]") {
  const auto* decoder = GENERATE(&decoders::kSegment, &decoders::kManifest, &decoders::kColumnCodec,
                                 &decoders::kRecord, &decoders::kClickJson, &decoders::kHttpRequest,
                                 &decoders::kProxyHeader, &decoders::kJournal,
                                 &decoders::kPeerFrame, &decoders::kPeerHandshake);
  CAPTURE(decoder->name);
  for (uint64_t seed = 0; seed < 60; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const std::string example = decoder->example(random);
    decoder->check(example);
    for (int i = 0; i < 10; ++i) {
      std::string bytes = example;
      for (uint64_t left = 1 + random.below(4); left > 0; --left) mutate(random, bytes);
      decoder->check(bytes);
    }
  }
  decoder->check({});
}
