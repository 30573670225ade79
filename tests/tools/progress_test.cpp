// Goal: whoever waits for a command hears of it, and a short one says nothing.
#include "tools/progress.h"

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "base/temporary_directory.h"
#include "click/batch.h"
#include "engine/engine.h"
#include "http/test_client.h"
#include "log/segments.h"
#include "tools/offline_log.h"
#include "tools/recover.h"
#include "tools/recover_clock.h"

namespace clickmill::tools {
namespace {

using Lines = std::vector<std::string>;

/// A slow machine: three seconds pass between any two looks.
class SlowClock final : public Clock {
 public:
  int64_t wall_ms() const override { return clock_.wall_ms(); }
  int64_t monotonic_ns() const override { return now_ns_ += 3'000'000'000; }
  bool synchronised() const override { return true; }

 private:
  SystemClock clock_;
  mutable int64_t now_ns_ = 0;
};

Print into(Lines& lines) {
  return [&lines](const std::string& line) { lines.push_back(line); };
}

bool any_begins(const Lines& lines, const std::string& with) {
  for (const std::string& line : lines) {
    if (line.starts_with(with)) return true;
  }
  return false;
}

class ClockAhead final : public Clock {
 public:
  explicit ClockAhead(int64_t ahead_ms) : ahead_ms_(ahead_ms) {}
  int64_t wall_ms() const override { return clock_.wall_ms() + ahead_ms_; }
  int64_t monotonic_ns() const override { return clock_.monotonic_ns(); }
  bool synchronised() const override { return true; }

 private:
  SystemClock clock_;
  const int64_t ahead_ms_;
};

/// The data of a node that took one click and was stopped.
struct Stopped {
  explicit Stopped(int64_t ahead_ms = 0) {
    config.data_dir = directory.path() + "/data";
    config.listen = {"127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"};
    config.log.partitions = 2;
    config.catalog.file.clear();
    config.collector.default_redirect = "https://example.com/";
    ClockAhead clock(ahead_ms);
    engine::Engine node(config, files, clock);
    REQUIRE(node.start());
    REQUIRE(node.wait_until_counting());
    http::TestClient client(node.collector_address());
    CHECK(client.call("GET", "/v1/click?ad_id=ad_1").status == 302);
    node.stop();
  }
  TemporaryDirectory directory;
  PosixFileSystem files;
  SlowClock slow;
  engine::Config config;
};

TEST_CASE("progress: nothing for two seconds, then a line every two", "[tools]") {
  ManualClock clock(0);
  Lines lines;
  Progress progress(clock, into(lines));
  int asked = 0;
  const auto text = [&] { return std::to_string(++asked); };
  for (int i = 0; i < 70; ++i) {
    progress.at(text);
    clock.advance_ms(100);
  }
  CHECK(lines == Lines{"1", "2", "3"});
  CHECK(asked == 3);
}

TEST_CASE("progress: reading a log says how far it is", "[tools]") {
  Stopped node;
  Lines lines;
  Progress progress(node.slow, into(lines));
  const auto log = OfflineLog::open(node.files, node.config.data_dir, progress);
  REQUIRE(log);
  CHECK(any_begins(lines, "opening partition 1 of 2"));
  CHECK(any_begins(lines, "journal: 1 records read"));
}

TEST_CASE("progress: checking a log says how much of it was read", "[tools]") {
  Stopped node;
  const click::ColumnCodec codec;
  log::Entry entry;
  entry.first = Offset(1);
  entry.kind = static_cast<uint8_t>(click::EntryKind::noop);
  entry.count = 1;
  REQUIRE(log::Segments::open(node.files, node.config.data_dir + "/log/1", codec, {})
              .value()
              ->seal({&entry, 1}));
  Lines lines;
  Progress progress(node.slow, into(lines));
  const auto log = OfflineLog::open(node.files, node.config.data_dir, progress);
  REQUIRE(log);
  const auto report = (*log)->verify(1);
  CHECK(report.entries == 1);
  CHECK(any_begins(lines, "partition 2 of 2: 0 of 0 MiB read"));
}

TEST_CASE("progress: a forced recovery says how far it is", "[tools]") {
  Stopped node;
  Lines lines;
  const auto recovered = recover_by_force(node.config, node.files, node.slow, into(lines));
  REQUIRE(recovered);
  CHECK_FALSE(recovered->found_damage);
  CHECK(any_begins(lines, "reading " + node.config.data_dir + "/journal/"));
  CHECK(any_begins(lines, "journal: 1 records read"));
  CHECK(any_begins(lines, "looking for gaps in partition 2 of 2"));
}

TEST_CASE("recover --clock: says what it would do, does it when told, and how far it is",
          "[tools]") {
  Stopped node(3 * kHourMs);
  Lines lines;
  const auto planned = set_clock_back(node.config, node.files, node.slow, into(lines), false);
  REQUIRE(planned);
  CHECK(planned->outcome == ClockRecovery::Outcome::planned);
  CHECK(planned->report.front().find("3 hours ahead of the clock") != std::string::npos);
  const auto done = set_clock_back(node.config, node.files, node.slow, into(lines), true);
  if (!done) FAIL(done.error().text());
  CHECK(done->outcome == ClockRecovery::Outcome::done);
  CHECK(any_begins(lines, "journal: at "));
  CHECK(any_begins(lines, "ids of partition "));
  const auto again = set_clock_back(node.config, node.files, node.slow, into(lines), true);
  REQUIRE(again);
  CHECK(again->outcome == ClockRecovery::Outcome::not_ahead);
}

TEST_CASE("recover --clock: refuses what it can't do", "[tools]") {
  Stopped node(2 * kHourMs);
  Lines lines;
  const auto refused = [&] {
    const auto done = set_clock_back(node.config, node.files, node.slow, into(lines), true);
    REQUIRE_FALSE(done);
    return done.error().code();
  };
  {
    const auto runs = engine::DataDir::open_existing(node.files, node.config.data_dir);
    CHECK(refused() == Errc::busy);
  }
  node.config.cluster.emplace();
  CHECK(refused() == Errc::invalid);
  node.config.cluster.reset();
  node.config.data_dir += "/elsewhere";
  CHECK(refused() == Errc::not_found);
}

}  // namespace
}  // namespace clickmill::tools
