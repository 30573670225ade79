// Goal: whatever becomes of the table, of its answers and of the sink itself, the newest version
// of each row is what was counted; and a row is not sent before its minute has passed.
#include "sinks/minutes.h"

#include "base/file_header.h"
#include "sinks/minute_fixture.h"
#include "store/merge.h"
#include "stream/repair.h"

namespace clickmill::sinks {
namespace {

using Import = MinutesOfOne::Import;

/// Random imports into the last hours, copies among them.
std::vector<Import> some(MinutesOfOne& one, Random& random, size_t count) {
  std::vector<Import> imports(count);
  for (Import& click : imports) {
    click.ad_id = "ad_" + std::to_string(random.below(20));
    const auto ago = static_cast<int64_t>(random.one_in(3) ? random.below(300) : random.below(2));
    click.minute_ms = one.minute_ms() - ago * kMinuteMs;
    if (random.one_in(10)) click.click_id = "copy-" + std::to_string(random.below(50));
  }
  return imports;
}

}  // namespace

TEST_CASE("minute sink: a row is sent once its minute has passed, with what it holds", "[sinks]") {
  MinutesOfOne one;
  one.start();
  one.wait_for_all();
  const int64_t minute = one.minute_ms();
  one.bring({{"ad_1", minute}, {"ad_1", minute}, {"ad_\"2", minute}});
  // The grace is 30 s.
  one.until([&] { return one.node.now_ms() >= minute + kMinuteMs + 29'000; });
  CHECK(one.table.rows().empty());
  one.wait_for_all();
  one.until([&] { return one.metric("clickmill_sink_lag_offsets") == 0; });
  one.stop();
  const auto rows = one.table.rows();
  REQUIRE(rows.size() == 2);
  const std::string line = rows.begin()->second.line;
  CHECK(line.starts_with("{\"minute\":" + std::to_string(minute / 1000) +
                         ",\"advertiser_id\":\"adv_1\",\"ad_id\":\"ad_"));
  uint64_t devices = 0;
  for (const char* device : {"mobile", "desktop", "tablet", "other"})
    devices += std::stoull(FakeTable::value_of(line, device));
  CHECK(FakeTable::value_of(line, "log_partition") == "0");
  CHECK(devices == std::stoull(FakeTable::value_of(line, "clicks")));
  CHECK(std::stoull(FakeTable::value_of(line, "unique_users")) >= 1);
  CHECK(line.find("\"ad_\\\"2\"") == std::string::npos);
  CHECK(one.table.texts().back().find("\"ad_\\\"2\"") != std::string::npos);
  CHECK(one.metric("clickmill_sink_sent_total") == 2);
  CHECK(one.metric("clickmill_sink_errors_total") == 0);
}

TEST_CASE("minute sink: what is counted later makes its row be sent again, whole", "[sinks]") {
  MinutesOfOne one;
  one.start();
  one.wait_for_all();  // or what is counted meanwhile may be sent by the walk, too
  const int64_t minute = one.minute_ms() - 30 * kMinuteMs;
  one.bring({{"ad_1", minute}});
  one.wait_for_all();
  CHECK(one.arrived() == one.counted());
  one.bring({{"ad_1", minute}, {"ad_1", minute}});
  one.wait_for_all();
  CHECK(one.arrived() == one.counted());
  one.stop();
  CHECK(one.table.taken() == 2);
}

TEST_CASE("minute sink: a copy's row is not sent again for nothing new in it", "[sinks]") {
  MinutesOfOne one;
  one.start();
  const int64_t minute = one.minute_ms() - 30 * kMinuteMs;
  one.bring({{"ad_1", minute, "one"}});
  one.wait_for_all();
  // Told to be of another minute, where nothing is counted.
  one.bring({{"ad_1", minute + kMinuteMs, "one"}});
  one.wait_for_all();
  CHECK(one.arrived() == one.counted());
  CHECK(one.table.rows().size() == 1);
  one.stop();
}

TEST_CASE("minute sink: over restarts, failures and lost answers all rows become right",
          "[sinks]") {
  const auto seed = GENERATE(range<uint64_t>(1, 9));
  CAPTURE(seed);
  Random random(seed);
  MinutesOfOne one(seed, 64 << 10);
  if (random.one_in(2)) one.keys_most = 20;
  if (random.one_in(2)) one.insert_bytes = 2'000;
  one.start();
  for (int round = 0; round < 25; ++round) {
    one.bring(some(one, random, 1 + random.below(60)));
    one.node.advance(static_cast<int64_t>(random.below(50'000)));
    switch (random.below(6)) {
      case 0: one.table.fail_half(1); break;
      case 1: one.table.lose_answers(2); break;
      case 2: one.table.be_away(true); break;
      case 3: one.table.be_away(false); break;
      case 4:
        one.stop();
        one.start();
        break;
      default: break;
    }
  }
  one.table.be_away(false);
  one.wait_for_all();
  one.stop();
  CHECK(one.arrived() == one.counted());
  CHECK(one.table.contradictions() == 0);
}

TEST_CASE("minute sink: an insert that failed is given again as it was", "[sinks]") {
  MinutesOfOne one;
  one.table.be_away(true);
  one.start();
  one.bring({{"ad_1", one.minute_ms() - kHourMs}});
  one.until([&] { return one.table.texts().size() >= 2; });
  one.bring({{"ad_1", one.minute_ms() - kHourMs}, {"ad_2", one.minute_ms() - kHourMs}});
  one.until([&] { return !one.sink->warning().empty(); });
  CHECK(one.sink->warning().find("the table is away") != std::string::npos);
  CHECK(one.metric("clickmill_sink_lag_offsets") > 0);
  CHECK(one.metric("clickmill_sink_errors_total") >= 2);
  const auto texts = one.table.texts();
  for (const std::string& text : texts) CHECK(text == texts.front());
  one.table.be_away(false);
  one.wait_for_all();
  one.until([&] { return one.sink->warning().empty(); });
  CHECK(one.arrived() == one.counted());
  one.stop();
}

TEST_CASE("minute sink: a new one sends all rows that there are, and then what comes", "[sinks]") {
  MinutesOfOne one;
  Random random(5);
  for (int i = 0; i < 20; ++i) {
    one.bring(some(one, random, 300));
    one.node.advance(700'000);
  }
  one.start();
  one.until([&] { return one.kept().walk == 0; });
  one.bring(some(one, random, 100));
  one.wait_for_all();
  one.stop();
  CHECK(one.arrived() == one.counted());
}

TEST_CASE("minute sink: what retention has dropped of the log is made good for by all rows",
          "[sinks]") {
  MinutesOfOne one(3, 8 * 1024);
  Random random(6);
  one.start();
  one.bring(some(one, random, 50));
  one.wait_for_all();
  one.stop();
  const Offset kept = one.kept().arrived;
  for (int i = 0; i < 20; ++i) {
    one.bring(some(one, random, 300));
    one.node.advance(700'000);
  }
  const Offset last = one.node.state().last;
  one.node.wait_sealed(last - 600);
  one.node.drop(last - 600);
  REQUIRE(one.node.reader().first(MinutesOfOne::kFirst) > kept + 1);
  one.start();
  one.wait_for_all();
  one.stop();
  CHECK(one.arrived() == one.counted());
}

TEST_CASE("minute sink: a log that was set back sends all rows again, newer than before",
          "[sinks]") {
  MinutesOfOne one;
  one.start();
  one.wait_for_all();  // or what is counted meanwhile may be sent by the walk, too
  one.bring({{"ad_1", one.minute_ms() - kHourMs}});
  one.wait_for_all();
  one.stop();
  {
    auto progress = one.progress();
    progress.set(MinutesOfOne::kFirst, {Offset(100'000), 0});
    REQUIRE(progress.save());
  }
  one.start();
  one.until([&] { return one.kept().walk == 0 && one.kept().arrived < Offset(100'000); });
  one.stop();
  CHECK(one.table.taken() == 2);
  CHECK(one.arrived() == one.counted());
  CHECK(one.metric("clickmill_sink_errors_total") == 1);
}

TEST_CASE("minute sink: a minute far ahead is not waited for", "[sinks]") {
  MinutesOfOne one;
  one.start();
  one.wait_for_all();
  // As an accepted click of a wrong clock is counted; the second is beyond the table's time.
  const int64_t ahead = one.minute_ms() + 400 * kDayMs;
  const int64_t beyond = floor_to(int64_t{0xffff'ffff} * 1000, kMinuteMs) + kMinuteMs;
  one.bring({{"ad_1", ahead}, {"ad_1", beyond}});
  one.wait_for_all();
  CHECK(one.arrived() == std::map<FakeTable::Key, uint64_t>{{{"adv_1", "ad_1", ahead}, 1}});
  one.stop();
}

TEST_CASE("minute sink: a repair is sent, and a row that it takes away as one of zero", "[sinks]") {
  MinutesOfOne one;
  one.start();
  const int64_t minute = one.minute_ms() - 3 * kHourMs;
  one.bring({{"ad_1", minute}, {"ad_2", minute}});
  one.wait_for_all();
  const FakeTable::Key gone{"adv_1", "ad_1", minute};
  CHECK(one.arrived()[gone] == 1);
  store::Scan scan;
  scan.to_ms = minute + kMinuteMs;
  scan.countries = scan.visitors = true;
  stream::Repair repair;
  repair.by = "somebody";
  auto versions =
      cluster::OnePartition::value(one.source().versions.read({MinutesOfOne::kFirst}, scan));
  std::vector<store::Row> rows = versions.front().head;
  for (const auto& part : (*versions.front().parts)[0])
    REQUIRE(store::read_rows({part}, scan, rows));
  store::fold_rows(rows);
  REQUIRE(rows.size() == 2);
  store::Row none;
  none.advertiser_id = "adv_1";
  none.ad_id = "ad_1";
  none.bucket_ms = minute;
  repair.items.push_back({none, stream::fingerprint_of(rows.front())});
  for (std::string& payload : stream::encode_repair(repair)) {
    const auto applied = cluster::ask<Offset>(
        one.node.owned(), MinutesOfOne::kFirst,
        [&](cluster::Partition& p, const std::function<void(Result<Offset>)>& answer) {
          p.propose(click::EntryKind::repair, std::move(payload), answer);
        });
    REQUIRE(applied);
  }
  one.wait_for_all();
  CHECK(one.arrived()[gone] == 0);
  CHECK(one.arrived()[FakeTable::Key{"adv_1", "ad_2", minute}] == 1);
  one.stop();
}

TEST_CASE("minute sink: rows that retention has deleted are left as the table has them",
          "[sinks]") {
  MinutesOfOne one;
  simulation::SimFileSystem files(7);
  one.retention =
      cluster::OnePartition::value(store::Retention::open(files, "/retention", {1, 1, 1}));
  one.start();
  const int64_t minute = floor_to(one.minute_ms(), kDayMs) - kMinuteMs;
  one.bring({{"ad_1", minute}, {"ad_1", minute}, {"ad_1", minute + kMinuteMs}});
  one.wait_for_all();
  const auto before = one.arrived();
  CHECK(before == one.counted());
  REQUIRE(one.retention->mark(store::Table::minute, minute + kMinuteMs));
  // What is counted in it now is no more than a rest.
  one.bring({{"ad_1", minute}, {"ad_1", minute + kMinuteMs}});
  one.wait_for_all();
  CHECK(one.arrived()[FakeTable::Key{"adv_1", "ad_1", minute}] == 2);
  CHECK(one.arrived()[FakeTable::Key{"adv_1", "ad_1", minute + kMinuteMs}] == 2);
  one.stop();
}

TEST_CASE("minute sink: a partition that another node leads is left to it, and followed",
          "[sinks]") {
  MinutesOfOne one;
  FakeTable theirs;
  Metrics metrics;
  auto options = one.options("n2");
  options.ask = [&one](const std::string& node, const std::function<void(std::string)>& told) {
    CHECK(node == "n1");
    told(one.sink->told());
  };
  one.bring({{"ad_1", one.minute_ms() - kHourMs}});
  one.start();
  one.wait_for_all();  // or what is counted meanwhile may be sent by the walk, too
  Minutes other(options, one.source(), Minutes::Target{theirs.open(), one.progress("other")},
                one.node.clock(), metrics);
  other.start();
  one.wait_for_all();
  const Offset arrived = one.kept().arrived;
  one.until([&] { return one.kept("other").walk == 0 && one.kept("other").arrived >= arrived; });
  other.stop();
  one.stop();
  CHECK(theirs.taken() == 0);
  CHECK(one.table.taken() == 1);
}

TEST_CASE("progress: a damaged file, or of other partitions, is told", "[sinks]") {
  simulation::SimFileSystem files(1);
  REQUIRE(files.create_directories("/sinks"));
  {
    auto progress = Progress::open(files, "/sinks/it", 3);
    REQUIRE(progress);
    CHECK(progress->of(PartitionId(2)) == Progress::Place());
    progress->set(PartitionId(2), {Offset(77), 5});
    REQUIRE(progress->save());
  }
  auto again = Progress::open(files, "/sinks/it", 3);
  REQUIRE(again);
  CHECK(again->of(PartitionId(2)) == Progress::Place{Offset(77), 5});
  CHECK_FALSE(again->of(PartitionId(1)).begun());
  CHECK_FALSE(Progress::open(files, "/sinks/it", 4));
  ByteCursor told("\x03");
  CHECK(Progress::parse(told, 3).empty());
  auto file = files.open("/sinks/it", FileSystem::Open::write);
  REQUIRE(file);
  REQUIRE((*file)->write_at(14, "x"));
  const auto damaged = Progress::open(files, "/sinks/it", 3);
  REQUIRE_FALSE(damaged);
  CHECK(damaged.error().code() == Errc::corrupt);
}

}  // namespace clickmill::sinks
