// The disk full: the spool's clicks are the first to stop, everything else goes on
// from the reserve, and what waited in memory is written when space returns.

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/node_clock.h"
#include "base/read_only_disk.h"
#include "log/journal.h"
#include "simulation/quiet_log.h"
#include "simulation/sim_file_system.h"

namespace clickmill::log {
namespace {

const std::string kFolder = "/journal";
constexpr uint64_t kFile = 64 << 10;

struct CountingWaiter final : JournalWaiter {
  void durable(JournalPos position, std::string&&) override {
    ++durables;
    last = position;
  }
  void failed(const Error&, std::string&&) override { ++failures; }
  size_t durables = 0;
  size_t failures = 0;
  JournalPos last;
};

struct FullDisk {
  explicit FullDisk(Journal::Options journal_options = {}) : options(journal_options) {
    options.file_bytes = kFile;
    options.group_bytes = 4 << 10;
    options.unsynced_bytes = 16 << 10;
    if (options.reserve_bytes == 0) options.reserve_bytes = 4 * kFile;
    open();
  }
  void open() {
    clicks_found = 0;
    auto opened = Journal::open(files, kFolder, node_clock, options,
                                [this](JournalPos, const RecordView& record) -> Status {
                                  clicks_found += record.kind == RecordKind::click ? 1 : 0;
                                  return {};
                                });
    if (!opened) FAIL(opened.error().text());
    journal = *std::move(opened);
  }
  Status click(Lane lane = Lane::redirects, size_t bytes = 3000) {
    return add(lane, RecordKind::click, bytes, clicks);
  }
  Status entry(size_t bytes = 3000) { return add(Lane::log, RecordKind::entry, bytes, entries); }
  Status add(Lane lane, RecordKind kind, size_t bytes, std::shared_ptr<CountingWaiter> waiter) {
    Append record;
    record.lane = lane;
    record.kind = kind;
    record.payload.assign(bytes, 'x');
    record.waiter = std::move(waiter);
    return journal->append(std::move(record));
  }
  void pump() {
    for (int i = 0; i < 100 && journal->pump(); ++i) {
    }
  }
  /// Clicks until they wait.
  size_t fill() {
    size_t count = 0;
    while (!journal->clicks_wait()) {
      REQUIRE(click());
      pump();
      REQUIRE(++count < 10'000);
    }
    return count;
  }
  uint64_t free_bytes() { return files.space("/").value().free_bytes; }

  const simulation::QuietLog quiet;
  simulation::SimFileSystem files{1};
  ManualClock clock{1'782'295'200'000};
  NodeClock node_clock{clock};
  Journal::Options options;
  std::unique_ptr<Journal> journal;
  std::shared_ptr<CountingWaiter> clicks = std::make_shared<CountingWaiter>();
  std::shared_ptr<CountingWaiter> entries = std::make_shared<CountingWaiter>();
  size_t clicks_found = 0;
};

TEST_CASE("journal: clicks stop at the disk's reserve, log entries do not", "[log]") {
  FullDisk disk;
  disk.files.set_capacity_bytes(20 * kFile);
  const size_t sent = disk.fill();
  CHECK(disk.free_bytes() >= disk.options.reserve_bytes);
  CHECK(disk.free_bytes() < disk.options.reserve_bytes + 2 * kFile);
  CHECK(disk.journal->health() == Journal::Health::ok);
  const size_t durable_before = disk.clicks->durables;
  for (int i = 0; i < 40; ++i) REQUIRE(disk.entry());
  REQUIRE(disk.click());
  disk.pump();
  CHECK(disk.entries->durables == 40);
  CHECK(disk.clicks->durables == durable_before);
  CHECK(disk.free_bytes() < disk.options.reserve_bytes);
  // What was written is committed and sealed, so its files can go.
  disk.journal->release_before(disk.entries->last);
  disk.pump();
  CHECK_FALSE(disk.journal->clicks_wait());
  CHECK(disk.clicks->durables == sent + 1);
  CHECK(disk.clicks->failures == 0);
}

TEST_CASE("journal: a start on a full disk takes clicks, and writes them when there is room",
          "[log]") {
  FullDisk disk;
  REQUIRE(disk.click());
  disk.pump();
  disk.journal.reset();
  disk.files.set_capacity_bytes(1);
  disk.open();
  CHECK(disk.clicks_found == 1);
  CHECK(disk.journal->health() == Journal::Health::no_room);
  REQUIRE(disk.click());
  REQUIRE(disk.entry());
  disk.pump();
  CHECK(disk.clicks->durables == 1);
  disk.files.set_capacity_bytes(uint64_t{1} << 30);
  disk.pump();
  CHECK(disk.journal->health() == Journal::Health::ok);
  CHECK(disk.clicks->durables == 2);
  CHECK(disk.entries->durables == 1);
  disk.journal.reset();
  disk.open();
  CHECK(disk.clicks_found == 2);
}

TEST_CASE("journal: its own bound holds clicks back like the disk's", "[log]") {
  FullDisk disk({.files_bytes_most = 10 * kFile, .reserve_bytes = 3 * kFile});
  disk.fill();
  CHECK(disk.journal->file_count() == 7);
  while (disk.journal->health() == Journal::Health::ok) {
    REQUIRE(disk.entry());
    disk.pump();
  }
  CHECK(disk.journal->file_count() == 10);
  CHECK(disk.journal->health() == Journal::Health::no_room);
  const size_t entries = disk.entries->durables;
  disk.journal->release_before(disk.entries->last);
  disk.pump();
  CHECK(disk.journal->health() == Journal::Health::ok);
  CHECK(disk.entries->durables == entries + 1);
  CHECK_FALSE(disk.journal->clicks_wait());
}

TEST_CASE("journal: clicks wait in a bounded buffer, bulk is refused", "[log]") {
  FullDisk disk({.queue_bytes = 100'000});
  disk.files.set_capacity_bytes(20 * kFile);
  disk.fill();
  CHECK(disk.click(Lane::bulk).error().code() == Errc::busy);
  size_t taken = 0;
  while (disk.click()) ++taken;
  CHECK(taken > 25);
  CHECK(taken < 34);
  CHECK(disk.journal->queued_bytes() <= 100'000);
  CHECK(disk.entry().has_value());
  disk.files.set_capacity_bytes(40 * kFile);
  disk.pump();
  CHECK(disk.journal->queued_bytes() == 0);
  CHECK(disk.click(Lane::bulk).has_value());
}

TEST_CASE("journal: bulk leaves half of the buffer to users", "[log]") {
  FullDisk disk({.queue_bytes = 100'000});
  size_t bulk = 0;
  while (disk.click(Lane::bulk)) ++bulk;
  CHECK(bulk > 10);
  CHECK(bulk < 17);
  size_t redirects = 0;
  while (disk.click(Lane::redirects)) ++redirects;
  CHECK(redirects >= bulk);
  CHECK(disk.journal->queued_bytes() <= 100'000);
}

TEST_CASE("journal: many small clicks count with what they cost in memory", "[log]") {
  FullDisk disk({.queue_bytes = 100'000});
  size_t taken = 0;
  while (disk.click(Lane::redirects, 10)) ++taken;
  CHECK(taken < 400);
}

TEST_CASE("journal: users go ahead of entries, entries ahead of bulk", "[log]") {
  std::vector<Lane> order;
  struct Noting final : JournalWaiter {
    Noting(std::vector<Lane>& to, Lane which) : out(to), lane(which) {}
    void durable(JournalPos, std::string&&) override { out.push_back(lane); }
    void failed(const Error&, std::string&&) override {}
    std::vector<Lane>& out;
    Lane lane;
  };
  FullDisk disk;
  for (const Lane lane : {Lane::bulk, Lane::log, Lane::redirects, Lane::votes}) {
    REQUIRE(disk.add(lane, RecordKind::click, 10, nullptr));
    Append record;
    record.lane = lane;
    record.waiter = std::make_shared<Noting>(order, lane);
    REQUIRE(disk.journal->append(std::move(record)));
  }
  disk.pump();
  CHECK(order == std::vector<Lane>{Lane::votes, Lane::redirects, Lane::log, Lane::bulk});
}

TEST_CASE("journal: a stop writes what waits into the reserve", "[log]") {
  FullDisk disk;
  disk.files.set_capacity_bytes(20 * kFile);
  const size_t count = disk.fill();
  REQUIRE(disk.click());
  disk.journal->start();
  disk.journal->stop();
  CHECK(disk.clicks->durables == count + 1);
  disk.files.kill();
  disk.open();
  CHECK(disk.clicks_found == count + 1);
}

TEST_CASE("journal: the thread writes entries while clicks wait, and clicks when space returns",
          "[log]") {
  FullDisk disk;
  disk.files.set_capacity_bytes(20 * kFile);
  disk.fill();
  struct Promise final : JournalWaiter {
    void durable(JournalPos, std::string&&) override {
      told = true;
      told.notify_all();
    }
    void failed(const Error&, std::string&&) override {}
    std::atomic<bool> told{false};
  };
  const auto entry = std::make_shared<Promise>();
  const auto click = std::make_shared<Promise>();
  disk.journal->start();
  REQUIRE(disk.add(Lane::redirects, RecordKind::click, 10, nullptr));
  Append waiting;
  waiting.lane = Lane::redirects;
  waiting.kind = RecordKind::click;
  waiting.waiter = click;
  REQUIRE(disk.journal->append(std::move(waiting)));
  Append written;
  written.waiter = entry;
  REQUIRE(disk.journal->append(std::move(written)));
  entry->told.wait(false);
  CHECK_FALSE(click->told);
  disk.files.set_capacity_bytes(40 * kFile);
  click->told.wait(false);
  CHECK_FALSE(disk.journal->clicks_wait());
  disk.journal->stop();
}

TEST_CASE("journal: opens although its bound is reached", "[log]") {
  FullDisk disk({.files_bytes_most = 6 * kFile, .reserve_bytes = kFile});
  while (disk.journal->health() == Journal::Health::ok) {
    REQUIRE(disk.entry());
    disk.pump();
  }
  for (int i = 0; i < 3; ++i) {
    disk.files.kill();
    disk.open();
    disk.journal->release_before(JournalPos(disk.journal->current_file() * kFile));
  }
  REQUIRE(disk.click());
  disk.pump();
  CHECK_FALSE(disk.journal->clicks_wait());
}

TEST_CASE("journal: a start on a read-only disk takes clicks, and goes on once it is writable",
          "[log]") {
  FullDisk disk;
  for (int i = 0; i < 5; ++i) REQUIRE(disk.click());
  disk.pump();
  disk.files.kill();
  ReadOnlyDisk mounted(disk.files);
  std::vector<std::string> before = disk.files.list(kFolder).value();
  auto opened = Journal::open(mounted, kFolder, disk.node_clock, disk.options);
  REQUIRE(opened);
  disk.journal = *std::move(opened);
  CHECK(disk.journal->health() == Journal::Health::failing);
  size_t found = 0;
  const auto count = [&](JournalPos, const RecordView& record) -> Status {
    found += record.kind == RecordKind::click ? 1 : 0;
    return {};
  };
  // Nobody hears of what may be gone after the next power loss.
  CHECK(disk.journal->replay(count).error().code() == Errc::io);
  CHECK(found == 0);
  const size_t durable_before = disk.clicks->durables;
  REQUIRE(disk.click());
  disk.pump();
  CHECK(disk.clicks->durables == durable_before);
  CHECK(disk.files.list(kFolder).value() == before);

  mounted.read_only = false;
  disk.pump();
  CHECK(disk.journal->health() == Journal::Health::ok);
  CHECK(disk.clicks->durables == durable_before + 1);
  REQUIRE(disk.journal->replay(count));
  CHECK(found == 5);
  disk.journal->end_replay();
  disk.files.kill();
  disk.open();
  CHECK(disk.clicks_found == 6);
}

}  // namespace
}  // namespace clickmill::log
