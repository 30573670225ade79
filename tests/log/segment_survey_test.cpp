// A manifest that is damaged or gone is made anew from the segments, or it is said why not.
#include "log/segment_survey.h"

#include <fmt/format.h>

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

TEST_CASE("segments: what is missing or damaged among them is named, the rest is there", "[log]") {
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
  CHECK(survey_segments(log.files, kDirectory).error().code() == Errc::corrupt);
  log.open();
  const Offset from = *parse_segment_name(names[1]);
  const Offset upto = *parse_segment_name(names[2]) - 1;
  CHECK(log.segments->mended().find(fmt::format("offsets {} to {} are gone", from.value(),
                                                upto.value())) != std::string::npos);
  CHECK(log.segments->first() == Offset(1));
  CHECK(log.segments->last() == log.last_entry(29).last());
  const auto check_others = [&](size_t sealed) {
    for (size_t i = 0; i < sealed; ++i) {
      const auto& block = log.blocks[i];
      const auto read = log.segments->read_block(block.front().first);
      CHECK(read.has_value() == (block.back().last() < from || block.front().first > upto));
      if (!read) {
        CHECK(read.error().code() == Errc::corrupt);
        CHECK(read.error().path() == kDirectory + "/" + names[1]);
      }
    }
  };
  check_others(30);
  // It goes on, and over a start too.
  log.seal(5);
  log.open();
  CHECK(log.segments->mended().empty());
  check_others(35);
  CHECK_FALSE(log.segments->verify().damage.empty());
}

TEST_CASE("segments: a log whose end is gone goes on behind that", "[log]") {
  DamagedLog log(5);
  const std::string last = log.segment_names().back();
  REQUIRE(log.files.remove(kDirectory + "/" + last));
  log.overwrite("manifest", "nonsense");
  log.open();
  const Offset end = log.segments->last();
  CHECK(end == *parse_segment_name(last) - 1);
  const Offset upto = log.last_entry(29).last();
  REQUIRE(log.segments->bridge(upto, log.segments->last_term(), log.segments->last_append_ms()));
  CHECK(log.segments->last() == upto);
  CHECK(log.segments->read_block(end).has_value());
  CHECK(log.segments->read_block(end + 1).error().code() == Errc::corrupt);
  log.seal(5);
  log.open();
  CHECK(log.segments->last() == log.last_entry(34).last());
  CHECK(log.segments->read_block(upto).error().code() == Errc::corrupt);
  CHECK(log.segments->read_block(upto + 1).has_value());
}

TEST_CASE("segments: one that can't be written on is left as it is, and a new one begun", "[log]") {
  DamagedLog log(6);
  const std::string last = log.segment_names().back();
  const bool gone = GENERATE(true, false);
  REQUIRE(log.files.remove(kDirectory + "/" + last));
  if (!gone) log.overwrite(last, "short");
  log.open();
  const Offset before = log.segments->last();
  log.seal(5);
  CHECK(log.segments->last() == log.last_entry(34).last());
  CHECK(log.segments->read_block(before).error().code() == Errc::corrupt);
  CHECK(log.segments->read_block(before + 1).has_value());
  log.open();
  CHECK(log.segments->last() == log.last_entry(34).last());
  CHECK(log.segments->read_block(*parse_segment_name(last) - 1).has_value());
}

TEST_CASE("segments: those that can't be opened hold nothing and say why", "[log]") {
  const auto segments = unusable_segments("it is a folder");
  CHECK(segments->first() > segments->last());
  REQUIRE(segments->bridge(Offset(70), Term(2), LogMs(9)));
  CHECK(segments->last() == Offset(70));
  CHECK(segments->first() == Offset(71));
  CHECK(segments->seal({}).error().message() == "it is a folder");
  CHECK(segments->read_block(Offset(70)).error().message() == "it is a folder");
  CHECK(segments->find_time(LogMs(0)).error().message() == "it is a folder");
  CHECK(segments->closed().empty());
  CHECK(segments->verify().damage == std::vector<std::string>{"it is a folder"});
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
