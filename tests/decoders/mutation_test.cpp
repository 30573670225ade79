// What the fuzz targets check, on a few thousand seeded mutations of valid bytes.

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "base/text.h"
#include "decoders/decoders.h"
#include "source_dir.h"

using namespace clickmill;
namespace fs = std::filesystem;

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

const std::vector<const decoders::Decoder*> kAll = {&decoders::kSegment,
                                                    &decoders::kManifest,
                                                    &decoders::kColumnCodec,
                                                    &decoders::kRecord,
                                                    &decoders::kClickJson,
                                                    &decoders::kHttpRequest,
                                                    &decoders::kProxyHeader,
                                                    &decoders::kJournal,
                                                    &decoders::kPeerFrame,
                                                    &decoders::kPeerHandshake,
                                                    &decoders::kRaftMessage,
                                                    &decoders::kBeat,
                                                    &decoders::kFounding,
                                                    &decoders::kEntryPayload,
                                                    &decoders::kSketch,
                                                    &decoders::kPart,
                                                    &decoders::kToldByProxies,
                                                    &decoders::kForm,
                                                    &decoders::kAd,
                                                    &decoders::kConfig};

/// "HTTP request" -> "http_request", as its target and its folder are called.
std::string target_of(const decoders::Decoder& decoder) {
  std::string name = lower(std::string(decoder.name));
  std::replace(name.begin(), name.end(), ' ', '_');
  return name;
}

}  // namespace

TEST_CASE("decoders: keep their promises for mutated bytes", "[decoders]") {
  const auto* decoder = GENERATE(from_range(kAll));
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

TEST_CASE("decoders: keep their promises for the kept inputs of the fuzz targets", "[decoders]") {
  const fs::path fuzz = fs::path(kSourceDir) / "tests" / "fuzz";
  std::set<std::string> folders;
  for (const auto& entry : fs::directory_iterator(fuzz / "corpus"))
    folders.insert(entry.path().filename().string());
  for (const auto* decoder : kAll) {
    const std::string name = target_of(*decoder);
    CAPTURE(name);
    CHECK(fs::exists(fuzz / (name + "_fuzz.cpp")));
    REQUIRE(folders.erase(name) == 1);
    for (const auto& entry : fs::directory_iterator(fuzz / "corpus" / name)) {
      CAPTURE(entry.path().string());
      std::ifstream file(entry.path(), std::ios::binary);
      std::ostringstream bytes;
      bytes << file.rdbuf();
      decoder->check(bytes.str());
    }
  }
  CHECK(folders.empty());
}
