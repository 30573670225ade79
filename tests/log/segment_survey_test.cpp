// A manifest that is damaged or gone is made anew from the segments, or it is said why not.
#include "log/segment_survey.h"

#include "log/segments_fixture.h"
#include "simulation/quiet_log.h"

namespace clickmill::log {
namespace {

const std::string kManifest = kDirectory + "/manifest";

/// Several closed segments and an open one.
struct DamagedLog : SealedLog {
  explicit DamagedLog(uint64_t seed) : SealedLog(seed, 40, {.segment_bytes = 4'000}) {
    open();
    seal(30);
    REQUIRE(segments->closed().size() > 3);
  }
  void check_mended(size_t number) {
    open();
    CHECK(segments->mended().find("manifest") != std::string::npos);
    CHECK(segments->verify().damage == std::vector<std::string>{segments->mended()});
    check_all();
    // Told once, and sealed on from there.
    open();
    CHECK(segments->mended().empty());
    check_all();
    check_clean();
    CHECK(files.exists(kManifest + ".damaged-1") == (number > 0));
    CHECK_FALSE(files.exists(kManifest + ".damaged-" + std::to_string(number + 1)));
  }
  const simulation::QuietLog quiet;
};

TEST_CASE("segments: a damaged or missing manifest is made anew from them", "[log]") {
  const uint64_t seed = GENERATE(range<uint64_t>(1, 9));
  CAPTURE(seed);
  DamagedLog log(seed);
  const Contents listed = survey_segments(log.files, kDirectory).value();
  CHECK(listed.last() == log.segments->last());
  CHECK(listed.closed.size() == log.segments->closed().size());
  REQUIRE(log.files.remove(kManifest));
  log.check_mended(0);
  log.overwrite("manifest", "nonsense");
  log.check_mended(1);
  std::string bytes = read_file(log.files, kManifest).value();
  bytes[32 + 104 + 20] ^= 1;
  log.overwrite("manifest", bytes);
  log.check_mended(2);
  log.seal(5);
  // What was dropped stays so.
  REQUIRE(log.segments->drop(log.segments->closed()[2].first, LogMs(INT64_MAX)));
  log.accept_what_is_there();
  log.overwrite("manifest", "");
  log.check_mended(3);
  log.seal(5);
  log.check_all();
}

TEST_CASE("segments: bytes behind the last whole block are no part of a mended log", "[log]") {
  DamagedLog log(3);
  const std::string last = log.segment_names().back();
  std::string bytes = read_file(log.files, kDirectory + "/" + last).value();
  log.overwrite(last, bytes + "the beginning of a block");
  log.overwrite("manifest", "nonsense");
  log.check_mended(1);
  log.seal(3);
  log.check_all();
}

TEST_CASE("segments: one that is missing or damaged among them is named", "[log]") {
  DamagedLog log(4);
  log.overwrite("manifest", "nonsense");
  const auto names = log.segment_names();
  const auto whole = log.contents();
  SECTION("missing") { REQUIRE(log.files.remove(kDirectory + "/" + names[1])); }
  SECTION("damaged") {
    std::string bytes = whole.at(names[1]);
    bytes[bytes.size() - 30] ^= 1;
    log.overwrite(names[1], bytes);
  }
  const auto before = log.contents();
  const auto refused = log.try_open();
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == Errc::corrupt);
  CHECK(refused.error().path() == kManifest);
  CHECK(refused.error().message().find(".segment") != std::string::npos);
  CHECK(log.contents() == before);
  CHECK(read_file(log.files, kManifest).value() == "nonsense");
}

TEST_CASE("segments: a damaged manifest without a segment is no new log", "[log]") {
  SealedLog log(1, 3, {});
  const simulation::QuietLog quiet;
  log.open();
  log.overwrite("manifest", "nonsense");
  CHECK(log.try_open().error().code() == Errc::corrupt);
}

}  // namespace
}  // namespace clickmill::log
