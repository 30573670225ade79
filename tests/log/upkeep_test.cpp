#include "log/upkeep.h"

#include <catch2/catch.hpp>

#include "base/bytes.h"
#include "base/checksum.h"
#include "log/sealed_model.h"
#include "log/segment.h"
#include "simulation/sim_file_system.h"

namespace clickmill::log {
namespace {

constexpr int64_t kNow = 1'782'295'200'000;
constexpr int64_t kYearMs = 365 * kDayMs;
constexpr size_t kPartitions = 3;
const std::string kData = "/data";

/// A node's sealed logs and their upkeep, over restarts; the stream has applied
/// and checkpointed everything unless a test says otherwise.
struct Node {
  Node() {
    REQUIRE(files.create_directories(kData));
    open();
    start();
  }
  void open() {
    segments.clear();
    for (size_t i = 0; i < kPartitions; ++i) {
      auto opened = Segments::open(files, kData + "/log/" + std::to_string(i), codec,
                                   {segment_bytes, Compression::lz4});
      REQUIRE(opened);
      segments.push_back(*std::move(opened));
    }
  }
  void start() {
    upkeep.reset();
    Upkeep::Options options;
    options.directory = kData;
    options.rules = rules;
    options.needs = [this](size_t) { return Upkeep::Needs{needed_from, log_time}; };
    std::vector<Segments*> borrowed;
    for (const auto& one : segments) borrowed.push_back(one.get());
    auto opened = Upkeep::open(files, clock, std::move(borrowed), log_time, std::move(options));
    REQUIRE(opened);
    upkeep = *std::move(opened);
  }
  /// Days of running; each seals some entries in every partition and looks after them.
  void run_days(int days) {
    for (int day = 0; day < days; ++day) {
      clock.advance_ms(kDayMs);
      log_time = std::max(log_time, LogMs(clock.wall_ms()));
      for (const auto& one : segments) seal_one(*one);
      upkeep->round();
    }
  }
  void seal_one(Segments& log) {
    Entry entry{log.last() + 1, kBlockOffsets, 1, Term(1), log_time, {}};
    // A block is one multiple of offsets; the first has one less, since there is no offset 0.
    if (entry.first == Offset(1)) entry.count -= 1;
    entry.payload = noise();
    REQUIRE(log.seal(std::vector<Entry>{entry}));
  }
  /// Bytes that no codec shortens: a few of them fill a segment.
  std::string noise() {
    std::string out(1'000, '\0');
    for (auto& c : out) c = static_cast<char>(random.next());
    return out;
  }
  std::vector<Offset> firsts() const {
    std::vector<Offset> out;
    for (const auto& one : segments) out.push_back(one->first());
    return out;
  }
  bool nothing_gone() const { return firsts() == std::vector<Offset>(kPartitions, Offset(1)); }
  /// Age of the oldest entry that is still there.
  int64_t oldest_days(size_t partition) const {
    const auto block = segments[partition]->read_block(Offset(1));
    REQUIRE(block);
    return (clock.wall_ms() - block->front().append_ms.value()) / kDayMs;
  }
  uint64_t bytes() const {
    uint64_t sum = 0;
    for (const auto& one : segments) sum += one->bytes();
    return sum;
  }

  simulation::SimFileSystem files{1};
  ManualClock clock{kNow};
  RowCodec codec;
  Random random{1};
  RetentionRules rules;
  uint64_t segment_bytes = 2'000;
  Offset needed_from{UINT64_MAX};
  LogMs log_time{0};
  std::vector<std::unique_ptr<Segments>> segments;
  std::unique_ptr<Upkeep> upkeep;
};

TEST_CASE("upkeep: 90 days stay, older segments go, restarts or not", "[log]") {
  Node node;
  node.run_days(90);
  CHECK(node.nothing_gone());
  for (int restarts = 0; restarts < 3; ++restarts) {
    node.run_days(20);
    for (size_t i = 0; i < kPartitions; ++i) {
      CHECK(node.oldest_days(i) >= 90);
      CHECK(node.oldest_days(i) <= 92);
    }
    node.upkeep.reset();
    node.open();
    node.start();
  }
  CHECK(node.upkeep->warnings().empty());
  for (const auto& one : node.segments) CHECK(one->verify().damage.empty());
}

TEST_CASE("upkeep: a node with one click a second has none older than the retention and a day",
          "[log]") {
  // Of 64 partitions each gets a click every 64 s, and a tick a minute.
  Node node;
  node.rules.age_ms = 3 * kDayMs;
  node.segment_bytes = 256 << 20;
  node.open();
  node.start();
  std::vector<Entry> unsealed;
  Segments& log = *node.segments[0];
  Offset next(1);
  int64_t click_ms = kNow;
  uint64_t swept_days = 0;
  for (int minute = 0; minute < 10 * 24 * 60; ++minute) {
    node.clock.advance_ms(kMinuteMs);
    const int64_t now = node.clock.wall_ms();
    node.log_time = LogMs(now);
    for (; click_ms < now; click_ms += 64'000) {
      unsealed.push_back({next, 1, 1, Term(1), LogMs(click_ms), "click"});
      next = next + 1;
    }
    unsealed.push_back({next, 1, 2, Term(1), LogMs(now), "tick"});
    next = next + 1;
    // As a partition does: whole blocks are sealed, the last one may still grow.
    if (const size_t length = block_length(unsealed); length < unsealed.size()) {
      REQUIRE(log.seal(std::span(unsealed).first(length)));
      unsealed.erase(unsealed.begin(), unsealed.begin() + static_cast<int64_t>(length));
    }
    if (minute % 10 == 0) node.upkeep->round();
    if (now % kDayMs >= kMinuteMs || minute < 5 * 24 * 60) continue;
    const int64_t oldest = log.read_block(log.first())->front().append_ms.value();
    CHECK(oldest >= now - 4 * kDayMs - kMinuteMs);
    CHECK(oldest <= now - 3 * kDayMs);
    ++swept_days;
  }
  CHECK(swept_days == 5);
  CHECK(log.verify().damage.empty());
}

TEST_CASE("upkeep: a clock that jumps a year ahead while running deletes nothing", "[log]") {
  Node node;
  node.run_days(60);
  node.clock.set_wall_ms(node.clock.wall_ms() + kYearMs);
  node.run_days(5);
  CHECK(node.nothing_gone());
  REQUIRE(node.upkeep->warnings().size() == 1);
  CHECK(node.upkeep->warnings()[0].find("retention --now") != std::string::npos);
  // Put right again: nothing is held, and nothing is old.
  node.clock.set_wall_ms(node.clock.wall_ms() - kYearMs);
  node.run_days(5);
  CHECK(node.nothing_gone());
  CHECK(node.upkeep->warnings().empty());
}

TEST_CASE("upkeep: a clock that jumps a year ahead across a restart deletes nothing", "[log]") {
  Node node;
  node.run_days(60);
  node.upkeep.reset();
  node.clock.set_wall_ms(node.clock.wall_ms() + kYearMs);
  node.start();
  CHECK(node.upkeep->warnings().size() == 1);
  node.run_days(3);
  // Log time looks right by now; the file knows better. Power loss, not only a kill.
  node.upkeep.reset();
  node.segments.clear();
  node.files.crash();
  node.files.restart();
  node.open();
  node.start();
  node.run_days(3);
  CHECK(node.nothing_gone());
  CHECK(node.upkeep->warnings().size() == 1);
  // Seven days of running, and the clock is believed.
  node.run_days(2);
  CHECK(node.upkeep->warnings().empty());
  CHECK_FALSE(node.nothing_gone());
  CHECK(node.oldest_days(0) <= 91);
}

TEST_CASE("upkeep: a marker lifts the hold at once and is removed", "[log]") {
  Node node;
  node.run_days(30);
  node.clock.set_wall_ms(node.clock.wall_ms() + kYearMs);
  node.run_days(1);
  REQUIRE(node.nothing_gone());
  REQUIRE(write_file_atomically(node.files, Upkeep::lift_marker(kData), ""));
  node.upkeep->round();
  CHECK_FALSE(node.nothing_gone());
  CHECK(node.upkeep->warnings().empty());
  CHECK_FALSE(node.files.exists(Upkeep::lift_marker(kData)));
}

TEST_CASE("upkeep: never deletes past what the stream needs", "[log]") {
  Node node;
  node.needed_from = Offset(1);
  node.run_days(150);
  CHECK(node.nothing_gone());
  node.needed_from = Offset(5 * kBlockOffsets);
  node.run_days(1);
  for (size_t i = 0; i < kPartitions; ++i) {
    CHECK(node.segments[i]->first() > Offset(1));
    CHECK(node.segments[i]->first() <= node.needed_from);
  }
}

TEST_CASE("upkeep: deletes by bytes, whole segments of all partitions together", "[log]") {
  Node node;
  node.rules.bytes = 20'000;
  node.start();
  node.run_days(30);
  CHECK(node.bytes() <= node.rules.bytes);
  CHECK(node.bytes() > node.rules.bytes / 2);
  for (const auto& one : node.segments) CHECK(one->verify().damage.empty());
}

TEST_CASE("upkeep: what can't be remembered deletes nothing by age", "[log]") {
  Node node;
  node.run_days(89);
  const auto full = node.files.space(kData);
  REQUIRE(full);
  node.files.set_capacity_bytes(full->total_bytes - full->free_bytes);
  node.clock.advance_ms(30 * kDayMs);
  node.log_time = LogMs(node.clock.wall_ms());
  node.upkeep->round();
  CHECK(node.nothing_gone());
  node.files.set_capacity_bytes(UINT64_MAX);
  node.clock.advance_ms(kHourMs);
  node.upkeep->round();
  CHECK_FALSE(node.nothing_gone());
}

TEST_CASE("upkeep: a damaged file begins a hold", "[log]") {
  Node node;
  node.run_days(60);
  node.upkeep.reset();
  const std::string whole = read_file(node.files, kData + "/upkeep").value();
  for (const std::string& wrong : {whole.substr(0, whole.size() - 1), std::string(), whole + "x"}) {
    REQUIRE(write_file_atomically(node.files, kData + "/upkeep", wrong));
    node.start();
    CHECK(node.upkeep->warnings().size() == 1);
  }
  // Nothing but its own end tells that a bit is wrong.
  for (size_t byte = 0; byte < whole.size(); byte += 5) {
    std::string wrong = whole;
    wrong[byte] = static_cast<char>(wrong[byte] ^ 4);
    REQUIRE(write_file_atomically(node.files, kData + "/upkeep", wrong));
    node.start();
    REQUIRE(node.upkeep->warnings().size() == 1);
  }
}

TEST_CASE("upkeep: the scrub reads every partition once a month and reports what rots", "[log]") {
  Node node;
  Metrics metrics;
  node.upkeep->add_metrics(metrics);
  node.run_days(20);
  CHECK(node.upkeep->warnings().empty());
  const std::string name = segment_name(Offset(1));
  node.files.flip_bit(kData + "/log/1/" + name, 500);
  node.run_days(31);
  REQUIRE(node.upkeep->warnings().size() == 1);
  CHECK(node.upkeep->warnings()[0].find("partition 1") != std::string::npos);
  CHECK(node.upkeep->warnings()[0].find(name) != std::string::npos);
  CHECK(metrics.render().find("clickmill_log_scrub_damaged_total 1\n") != std::string::npos);
  // A restart doesn't make it whole; the next scrub would say so.
  const auto warnings = node.upkeep->warnings();
  node.upkeep.reset();
  node.open();
  node.start();
  CHECK(node.upkeep->warnings() == warnings);
}

TEST_CASE("upkeep: what a node of the first version remembered is read", "[engine]") {
  Node node;
  node.run_days(60);
  node.upkeep.reset();
  std::string bytes = "CMUPKEEP";
  ByteWriter writer(bytes);
  writer.u32(1);
  writer.u32(static_cast<uint32_t>(kPartitions));
  writer.i64(node.clock.wall_ms() - 30 * kDayMs);  // so that the clock seems ahead
  writer.i64(kDayMs);
  for (size_t i = 0; i < kPartitions; ++i) writer.i64(0);
  writer.u64(xxh64_of(bytes));
  REQUIRE(write_file_atomically(node.files, kData + "/upkeep", bytes));
  node.start();
  CHECK(node.upkeep->warnings().size() == 1);
}

TEST_CASE("upkeep: a scrub is slow, and a stop doesn't wait for it", "[log]") {
  Node node;
  node.run_days(1);
  std::string big(2 << 20, '\0');
  for (auto& c : big) c = static_cast<char>(node.random.next());
  for (const auto& one : node.segments) {
    Entry entry{one->last() + 1, kBlockOffsets, 1, Term(1), node.log_time, big};
    for (int i = 0; i < 2; ++i) {
      REQUIRE(one->seal(std::vector<Entry>{entry}));
      entry.first = entry.last() + 1;
    }
  }
  node.clock.advance_ms(40 * kDayMs);
  node.upkeep->start();
  // 12 MiB at 1 MiB/s would take a while; this returns after the read that is under way.
  node.upkeep->stop();
  CHECK(node.upkeep->warnings().empty());
}

}  // namespace
}  // namespace clickmill::log
