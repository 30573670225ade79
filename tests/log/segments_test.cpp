#include "log/segments.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "log/segment.h"
#include "log/segments_fixture.h"

namespace clickmill::log {
namespace {

constexpr LogMs kAnyTime(INT64_MAX);

Segments::Options small_segments(Compression compression) { return {4000, compression}; }

Compression any_compression(Random& random) { return static_cast<Compression>(random.below(3)); }

TEST_CASE("segments: an empty log begins at offset 1", "[log]") {
  SealedLog log(1, 1, {});
  for (int i = 0; i < 2; ++i) {
    log.open();
    CHECK(log.segments->first() == Offset(1));
    CHECK(log.segments->last() == Offset(0));
    CHECK(log.segments->last_term() == Term(0));
    CHECK(log.segments->bytes() == 0);
    CHECK(log.segments->read_block(Offset(1)).error().code() == Errc::not_found);
    CHECK_FALSE(log.segments->find_time(LogMs(0)).value());
    REQUIRE(log.segments->seal({}));
    REQUIRE(log.segments->drop(Offset(100), kAnyTime));
    log.check_clean();
  }
  CHECK(log.files.list(kDirectory).value() == std::vector<std::string>{"manifest"});
}

TEST_CASE("segments: names have twenty digits and nothing else is ours", "[log]") {
  CHECK(segment_name(Offset(81920)) == "00000000000000081920.segment");
  CHECK(parse_segment_name("00000000000000081920.segment") == Offset(81920));
  CHECK(parse_segment_name("18446744073709551615.segment") == Offset(UINT64_MAX));
  for (const auto* name : {"", "1.segment", "18446744073709551616.segment", "manifest",
                           "00000000000000081920.segment~", "0000000000000008192x.segment"}) {
    CAPTURE(name);
    CHECK_FALSE(parse_segment_name(name));
  }
}

TEST_CASE("segments: one ends with its day of log time, however it was sealed", "[log]") {
  const int64_t midnight = floor_to(1'700'000'000'000, kDayMs);
  const bool at_once = GENERATE(true, false);
  SealedLog log(1, 0, {});
  log.open();
  // Every six hours a block, on the hour; the fifth is the first of the second day.
  for (uint64_t i = 0; i < 11; ++i) {
    const LogMs time(midnight + static_cast<int64_t>(i) * kDayMs / 4);
    log.blocks.push_back({{Offset(1 + i), 1, 1, Term(1), time, "x"}});
  }
  if (at_once) {
    log.seal(11);
  } else {
    for (int i = 0; i < 11; ++i) {
      log.seal(1);
      if (i % 3 == 0) log.open();
    }
  }
  log.check_all();
  log.check_clean();
  const auto closed = log.segments->closed();
  REQUIRE(closed.size() == 2);
  CHECK(closed[0].last == Offset(4));
  CHECK(closed[1].last == Offset(8));
}

TEST_CASE("segments: equals a list of blocks through seal, drop and reopen", "[log]") {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    SealedLog log(seed, 40, small_segments(any_compression(random)));
    log.open();
    while (log.sealed < log.blocks.size()) {
      if (random.one_in(4)) log.open();
      log.seal(random.below(5));
      if (log.sealed == 0) continue;

      // A drop takes whole closed segments from the front, and no more than it may.
      const size_t limit = random.below(log.sealed);
      const LogMs older_than =
          random.one_in(3) ? kAnyTime : log.last_entry(random.below(log.sealed)).append_ms;
      if (random.one_in(3)) REQUIRE(log.segments->drop(log.blocks[limit][0].first, older_than));
      while (log.dropped < log.sealed &&
             log.last_entry(log.dropped).last() < log.segments->first()) {
        REQUIRE(log.dropped < limit);
        REQUIRE(log.last_entry(log.dropped).append_ms < older_than);
        ++log.dropped;
      }
      log.check_all();

      const uint64_t offset = random.below(log.segments->last().value() + 1);
      const auto read = log.segments->read_block(Offset(offset));
      if (log.dropped < log.sealed) {
        REQUIRE(read);
        REQUIRE(read->back().last() >= Offset(offset));
        REQUIRE((read->front().first <= Offset(offset) ||
                 read->front().first == log.segments->first()));
      }
      const LogMs time = log.last_entry(random.below(log.sealed)).append_ms +
                         (static_cast<int64_t>(random.below(3)) - 1);
      std::optional<Offset> expected;
      for (size_t i = log.sealed; i-- > log.dropped;) {
        if (log.last_entry(i).append_ms >= time) expected = log.blocks[i].front().first;
      }
      REQUIRE(log.segments->find_time(time).value() == expected);
    }
    log.check_clean();
  }
}

TEST_CASE("segments: drops every closed segment that it may", "[log]") {
  SealedLog log(3, 60, small_segments(Compression::lz4));
  log.open();
  log.seal(60);
  const auto names = log.segment_names();
  REQUIRE(names.size() > 3);
  const Offset third = *parse_segment_name(names[2]);
  const LogMs time = log.last_entry(log.blocks_upto(third - 1) - 1).append_ms;

  REQUIRE(log.segments->drop(third - 1, kAnyTime));
  CHECK(log.segments->first() == *parse_segment_name(names[1]));
  REQUIRE(log.segments->drop(third, time));
  CHECK(log.segments->first() == *parse_segment_name(names[1]));
  REQUIRE(log.segments->drop(third, time + 1));
  CHECK(log.segments->first() == third);
  CHECK(log.segment_names() == std::vector<std::string>(names.begin() + 2, names.end()));
  CHECK(log.segments->read_block(Offset(1)).value().front().first == third);
}

TEST_CASE("segments: when all is dropped the log goes on where it was", "[log]") {
  SealedLog log(4, 12, {1, Compression::lz4});
  log.open();
  log.seal(6);
  REQUIRE(log.segments->drop(log.segments->last() + 1, kAnyTime));
  log.dropped = 6;
  // Or the next entry might be older than one that is known elsewhere.
  const LogMs time = log.last_entry(5).append_ms;
  CHECK(log.segments->last_append_ms() == time);
  CHECK(log.segments->dropped_term() == log.last_entry(5).term);
  CHECK(log.segments->first() == log.segments->last() + 1);
  CHECK(log.segments->bytes() == 0);
  CHECK(log.segments->read_block(Offset(1)).error().code() == Errc::not_found);
  log.open();
  log.check_all();
  CHECK(log.segments->last_append_ms() == time);
  log.seal(6);
  log.check_all();
  log.check_clean();
}

TEST_CASE("segments: files don't depend on how seals were grouped", "[log]") {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const auto options = small_segments(any_compression(random));
    SealedLog whole(seed, 40, options);
    whole.open();
    whole.seal(40);
    SealedLog parts(seed, 40, options);
    parts.open();
    while (parts.sealed < parts.blocks.size()) {
      parts.seal(1 + random.below(4));
      if (random.one_in(3)) parts.open();
    }
    REQUIRE(parts.contents() == whole.contents());
    REQUIRE(parts.segments->bytes() == whole.segments->bytes());
  }
}

TEST_CASE("segments: bytes are those of the files", "[log]") {
  SealedLog log(9, 30, small_segments(Compression::zstd));
  log.open();
  log.seal(30);
  uint64_t bytes = 0;
  for (const auto& [name, content] : log.contents()) bytes += content.size();
  CHECK(log.segments->bytes() == bytes);
}

TEST_CASE("segments: entries that don't follow are refused, and nothing changes", "[log]") {
  SealedLog log(1, 6, {});
  log.open();
  log.seal(2);
  const auto refused = [&](std::vector<Entry> entries) {
    CHECK(log.segments->seal(entries).error().code() == Errc::invalid);
  };
  refused(log.blocks[1]);
  refused(log.blocks[3]);
  auto gap = joined(log.blocks, 2, 4);
  gap.back().first = gap.back().first + 1;
  refused(gap);
  auto none = log.blocks[2];
  none.front().count = 0;
  refused(none);
  log.check_all();
  log.seal(4);
  log.check_all();
}

TEST_CASE("segments: opening reads the manifest only", "[log]") {
  SealedLog log(2, 30, small_segments(Compression::lz4));
  log.open();
  log.seal(30);
  const auto names = log.segment_names();
  for (const auto& name : names) REQUIRE(log.files.remove(kDirectory + "/" + name));
  log.open();
  const auto read = log.segments->read_block(Offset(1));
  REQUIRE_FALSE(read);
  CHECK(read.error().code() == Errc::corrupt);
  CHECK(read.error().path() == kDirectory + "/" + names.front());
  CHECK(log.segments->verify().damage.size() == names.size());
}

TEST_CASE("segments: removes leftovers with names of its own only", "[log]") {
  SealedLog log(2, 3, {});
  log.open();
  log.seal(3);
  log.overwrite("00000000000000999999.segment", "not reached yet");
  const auto before = log.contents();
  for (const auto* name : {"00000000000000000002.segment", "manifest.tmp", "notes.txt"}) {
    log.overwrite(name, "x");
  }
  log.open();
  CHECK(log.contents() == before);
  CHECK_FALSE(log.files.exists(kDirectory + "/manifest.tmp"));
  CHECK(log.files.exists(kDirectory + "/notes.txt"));
}

TEST_CASE("segments: another codec is told by name", "[log]") {
  class OtherCodec final : public Codec {
   public:
    uint8_t id() const override { return 9; }
    std::string encode(std::span<const Entry>) const override { return {}; }
    Result<std::vector<Entry>> decode(std::string_view) const override {
      return std::vector<Entry>{};
    }
  };
  SealedLog log(2, 3, {});
  log.open();
  log.seal(3);
  const OtherCodec other;
  const auto opened = Segments::open(log.files, kDirectory, other, log.options);
  REQUIRE(opened);
  const auto read = (*opened)->read_block(Offset(1));
  REQUIRE_FALSE(read);
  CHECK(read.error().message() == "block: codec 1, this log has 9");
}

TEST_CASE("segments: readers run beside seal and drop", "[log]") {
  SealedLog log(5, 400, small_segments(Compression::lz4));
  log.open();
  log.seal(10);
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> reads{0};
  std::string wrong;
  std::thread reader([&] {
    Random random(1);
    while (!stop) {
      const Offset first = log.segments->first();
      const Offset last = log.segments->last();
      const Offset offset = first + random.below(last - first + 1);
      const auto read = log.segments->read_block(offset);
      const auto found = log.segments->find_time(log.blocks[0][0].append_ms);
      if (!read && read.error().code() != Errc::not_found) wrong = read.error().text();
      if (!found && found.error().code() != Errc::not_found) wrong = found.error().text();
      if (read && read->back().last() < offset) wrong = "a block before the offset";
      ++reads;
    }
  });
  while (log.sealed < log.blocks.size() || reads < 100) {
    log.seal(3);
    REQUIRE(log.segments->drop(log.segments->last() - 20'000, kAnyTime));
  }
  stop = true;
  reader.join();
  CHECK(wrong.empty());
  log.accept_what_is_there();
  log.check_all();
}

}  // namespace
}  // namespace clickmill::log
