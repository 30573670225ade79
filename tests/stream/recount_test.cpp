// Recount against hand-made logs, then against the stream itself on random logs:
// two independent readings of DESIGN §5 that must agree on every row.
#include "stream/recount.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "base/random.h"
#include "click/batch.h"
#include "click/click.h"
#include "simulation/sim_file_system.h"
#include "state/memory_store.h"
#include "stream/pipeline.h"
#include "stream/review.h"
#include "stream/tick.h"

namespace clickmill::stream {
namespace {

constexpr int64_t kStart = 1'782'295'200'000;  // 2026-06-24T10:00:00Z
constexpr uint64_t kSeed = 77;

struct TestClick {
  std::string id;
  std::string ad = "ad_1";
  int64_t timestamp = kStart;
  int64_t received = kStart + 100;
  uint8_t flags = 0;
  click::Device device = click::Device::mobile;
  std::string user = "";
  click::Country country = click::kUnknownCountry;
};

/// A partition's log under construction, in times relative to kStart.
class TestLog {
 public:
  explicit TestLog(uint64_t first = 1) : next_(first) {}
  void clicks(const std::vector<TestClick>& clicks, int64_t append, int64_t low_water,
              bool again = false, const std::string& sender = "n1") {
    std::string payload;
    click::encode_batch_header({sender, again, ArrivalMs(low_water)}, payload);
    for (const TestClick& test : clicks) {
      click::ClickView click;
      click.click_id = test.id;
      click.ad_id = test.ad;
      click.advertiser_id = "adv_1";
      click.ad_format = "video";
      click.timestamp_ms = EventMs(test.timestamp);
      click.received_ms = ArrivalMs(test.received);
      click.flags = test.flags;
      click.device = test.device;
      click.user_id = test.user;
      click.country = test.country;
      click::encode_record(click, payload);
    }
    add(click::EntryKind::clicks, static_cast<uint32_t>(clicks.size()), std::move(payload), append);
  }
  /// A full one repeats what holds behind it.
  void tick(const std::vector<LowWater>& low_waters, int64_t append, bool full = false) {
    std::string payload;
    Footing behind = footing;
    behind.tick(LogMs(append), low_waters);
    encode_tick(low_waters, full ? &behind : nullptr, payload);
    add(click::EntryKind::tick, 1, std::move(payload), append);
  }
  void settings(const Settings& settings, int64_t append) {
    std::string payload;
    encode_settings(settings, payload);
    add(click::EntryKind::settings, 1, std::move(payload), append);
  }
  void decision(const Decision& decision, int64_t append) {
    std::string payload;
    encode_decision(decision, payload);
    add(click::EntryKind::decision, 1, std::move(payload), append);
  }
  uint64_t next() const { return next_; }
  const std::vector<log::Entry>& entries() const { return entries_; }
  ReadLog reader() const {
    return [this](const std::function<Status(const log::Entry&)>& visit) -> Status {
      ++readings;
      for (const auto& entry : entries_) TRY(visit(entry));
      return {};
    };
  }
  /// What is left when older entries are dropped.
  TestLog from(uint64_t offset) const {
    TestLog out = *this;
    std::erase_if(out.entries_, [&](const log::Entry& e) { return e.first < Offset(offset); });
    return out;
  }
  mutable int readings = 0;
  Footing footing;  ///< behind the last entry

 private:
  void add(click::EntryKind kind, uint32_t count, std::string payload, int64_t append) {
    log::Entry entry;
    entry.first = Offset(next_);
    entry.count = count;
    entry.kind = static_cast<uint8_t>(kind);
    entry.append_ms = LogMs(append);
    entry.payload = std::move(payload);
    if (!footing.pass(kind, entry.append_ms, entry.payload)) FAIL("malformed");
    next_ += count;
    entries_.push_back(std::move(entry));
  }
  uint64_t next_;
  std::vector<log::Entry> entries_;
};

RecountOptions options_of(int64_t from = kStart, int64_t to = kStart + kHourMs) {
  RecountOptions options;
  options.from_ms = from;
  options.to_ms = to;
  options.seed = kSeed;
  return options;
}

/// "ad_1 0 3" for three clicks in the first minute of kStart's hour.
std::vector<std::string> shown(const std::vector<store::Row>& rows) {
  std::vector<std::string> out;
  for (const auto& row : rows) {
    out.push_back(row.ad_id + " " + std::to_string((row.bucket_ms - kStart) / kMinuteMs) + " " +
                  std::to_string(row.counts.clicks));
  }
  return out;
}
using Shown = std::vector<std::string>;

Shown recount_of(const TestLog& log, RecountOptions options = options_of()) {
  auto recounted = recount(options, log.reader());
  if (!recounted) return {recounted.error().text()};
  return shown(recounted->rows);
}

/// What the stream stores of the same log; everything stays in the head.
std::vector<store::Row> stream_rows(const TestLog& log, const RecountOptions& options) {
  simulation::SimFileSystem files(1);
  REQUIRE(files.create_directories("/store"));
  state::MemoryStore state;
  Pipeline::Options pipeline_options;
  pipeline_options.seed = kSeed;
  pipeline_options.store_directory = "/store";
  pipeline_options.flush_rows = 1'000'000;
  pipeline_options.flush_bytes = UINT64_MAX;
  pipeline_options.flush_age_ms = INT64_MAX;
  auto pipeline = Pipeline::open(PartitionId(0), state, files, pipeline_options).value();
  for (const auto& entry : log.entries()) REQUIRE(pipeline->apply(entry));
  store::Scan scan;
  scan.from_ms = options.from_ms;
  scan.to_ms = options.to_ms;
  scan.ad_id = options.ad_id;
  scan.countries = true;
  scan.visitors = true;
  auto rows = pipeline->version(scan).head;
  std::sort(rows.begin(), rows.end(), store::key_less);
  return rows;
}

}  // namespace

TEST_CASE("recount: clicks count once, in the minute of their own timestamp", "[stream]") {
  TestLog log;
  log.clicks({{"a"},
              {"b"},
              {"a"},
              {.id = "c", .timestamp = kStart + 59'999, .received = kStart + 59'999},
              {.id = "d", .timestamp = kStart + kMinuteMs, .received = kStart + kMinuteMs}},
             kStart + kMinuteMs, kStart);
  log.clicks({{"b"}, {"e"}, {.id = "a", .ad = "ad_2"}}, kStart + kMinuteMs, kStart, true);
  CHECK(recount_of(log) == Shown{"ad_1 0 4", "ad_1 1 1", "ad_2 0 1"});
  auto one_ad = options_of();
  one_ad.ad_id = "ad_2";
  CHECK(recount_of(log, one_ad) == Shown{"ad_2 0 1"});
  CHECK(recount_of(log, options_of(kStart + kMinuteMs)) == Shown{"ad_1 1 1"});
  CHECK(recount_of(log, options_of(kStart, kStart + kMinuteMs)) == Shown{"ad_1 0 4", "ad_2 0 1"});
  CHECK(log.readings == 8);
}

TEST_CASE("recount: the boundaries of lateness, clocks and backfill", "[stream]") {
  const int64_t end = kStart + kMinuteMs;
  TestLog log;
  log.clicks({{.id = "on time", .received = end + 30'000},
              {.id = "late", .received = end + 30'001},
              {.id = "backfill", .received = end + 30'001, .flags = click::kBackfill},
              {.id = "ahead", .timestamp = kStart + 30'000, .received = kStart},
              {.id = "too far ahead", .timestamp = kStart + 30'001, .received = kStart},
              {.id = "unknown", .flags = click::kUnknownAd},
              {.id = "unknown backfill", .flags = click::kUnknownAd | click::kBackfill}},
             end + 30'001, kStart);
  CHECK(recount_of(log) == Shown{"ad_1 0 3"});
  Settings strict;
  strict.window_grace_ms = 0;
  strict.max_clock_ahead_ms = 0;
  TestLog other;
  other.settings(strict, kStart);
  other.clicks({{.id = "a", .received = end},
                {.id = "b", .received = end + 1},
                {.id = "c", .timestamp = kStart + 1, .received = kStart}},
               end + 1, kStart);
  CHECK(recount_of(other) == Shown{"ad_1 0 1"});
}

TEST_CASE("recount: what was accepted counts in its own minute, by the first decision",
          "[stream]") {
  const int64_t late = kStart + 2 * kMinuteMs;
  TestLog log;
  log.clicks({{.id = "a", .received = late},
              {.id = "b", .received = late},
              {.id = "c", .received = late},
              {.id = "d"}},
             late, kStart);
  log.decision({Verdict::accept, "ops", {}, {{Offset(1)}, {Offset(4)}}}, late);
  log.decision({Verdict::reject, "ops", {}, {{Offset(2)}}}, late);
  log.decision({Verdict::accept, "ops", {}, {{Offset(1)}, {Offset(2)}}}, late);
  CHECK(recount_of(log) == Shown{"ad_1 0 2"});
  log.decision({Verdict::accept, "ops", {{"adv_2", "video"}}, {{Offset(3), 1}}}, late);
  const auto rows = recount(options_of(), log.reader()).value().rows;
  CHECK(shown(rows) == Shown{"ad_1 0 2", "ad_1 0 1"});
  CHECK(rows[1].advertiser_id == "adv_2");
}

TEST_CASE("recount: clicks of machines have rows of their own", "[stream]") {
  TestLog log;
  log.clicks({{.id = "a"},
              {.id = "b", .flags = click::kAutomated},
              {.id = "c", .flags = click::kAutomated},
              {.id = "a", .flags = click::kAutomated},
              {.id = "late", .received = kStart + 2 * kMinuteMs, .flags = click::kAutomated}},
             kStart + 2 * kMinuteMs, kStart);
  log.decision({Verdict::accept, "ops", {}, {{Offset(5)}}}, kStart + 3 * kMinuteMs);
  const auto rows = recount(options_of(), log.reader()).value().rows;
  CHECK(shown(rows) == Shown{"ad_1 0 1", "ad_1 0 3"});
  CHECK_FALSE(rows[0].automated);
  CHECK(rows[1].automated);
  const auto found = differences({}, rows);
  REQUIRE(found.size() == 2);
  CHECK(to_text(found[1]).starts_with("ad_1 2026-06-24T10:00:00Z adv_1 (automated): clicks"));
}

TEST_CASE("recount: a copy in another minute makes a click of the range a duplicate", "[stream]") {
  TestLog log;
  log.clicks({{.id = "a", .timestamp = kStart - kMinuteMs, .received = kStart - kMinuteMs}}, kStart,
             kStart - kMinuteMs);
  log.clicks({{.id = "a"}, {.id = "b"}}, kStart + 200, kStart);
  CHECK(recount_of(log) == Shown{"ad_1 0 1"});
  // A flagged first copy makes duplicates too.
  TestLog flagged;
  flagged.clicks({{.id = "a", .flags = click::kUnknownAd}, {.id = "a"}}, kStart + 200, kStart);
  CHECK(recount_of(flagged).empty());
}

TEST_CASE("recount: copies a day apart are separate, and what can't be known any more is stale",
          "[stream]") {
  const auto copy_after = [](int64_t hours) {
    TestLog log;
    log.clicks({{"a"}}, kStart + 100, kStart);
    const int64_t later = kStart + hours * kHourMs;
    log.clicks({{.id = "a", .timestamp = later, .received = later}}, later, later);
    return recount_of(log, options_of(kStart, later + kMinuteMs)).size();
  };
  CHECK(copy_after(24) == 1);
  CHECK(copy_after(25) == 2);

  // T = 10:00 − 10 min, cut to its hour: 09:00.
  TestLog log;
  log.tick({{"n1", ArrivalMs(kStart)}}, kStart);
  log.clicks({{.id = "a", .timestamp = kStart - kHourMs, .received = kStart - kHourMs},
              {.id = "b", .timestamp = kStart - kHourMs - 1, .received = kStart - kHourMs - 1}},
             kStart, kStart - kHourMs - 1, false, "n2");
  CHECK(recount_of(log, options_of(kStart - 2 * kHourMs)) == Shown{"ad_1 -60 1"});
}

TEST_CASE("recount: identities beyond the memory allowed are counted share by share", "[stream]") {
  TestLog log;
  for (int batch = 0; batch < 20; ++batch) {
    std::vector<TestClick> clicks;
    for (int i = 0; i < 50; ++i) {
      clicks.push_back({.id = std::to_string(batch * 40 + i),
                        .ad = "ad_" + std::to_string(i % 3),
                        .user = "u" + std::to_string(i)});
    }
    log.clicks(clicks, kStart + 200 + batch, kStart);
  }
  const auto whole = recount(options_of(), log.reader()).value();
  auto small = options_of();
  small.ids_most = 100;
  log.readings = 0;
  const auto shares = recount(small, log.reader()).value();
  CHECK(log.readings >= 16);
  CHECK(differences(whole.rows, shares.rows).empty());
  CHECK(whole.rows.size() == 3);
  CHECK(whole.clicks == 1000);
  CHECK(shares.clicks >= 1000);
}

TEST_CASE("recount: a log that doesn't begin at its start names the minutes it can't judge",
          "[stream]") {
  TestLog whole;
  whole.clicks({{"a"}}, kStart + 200, kStart);
  CHECK(recount(options_of(), whole.reader()).value().judged_from_ms == INT64_MIN);
  TestLog cut(5'000);
  cut.clicks({{"a"}}, kStart + 200, kStart);
  const int64_t judged = recount(options_of(), cut.reader()).value().judged_from_ms;
  CHECK(judged == kStart + kHourMs + 24 * kHourMs + kMinuteMs);
}

TEST_CASE("recount: where the log's begin is gone, a full tick says what held", "[stream]") {
  TestLog log;
  Settings settings;
  settings.window_grace_ms = 300'000;
  settings.nodes = {"n1", "n2"};
  log.settings(settings, kStart);
  // n2 holds T back, and isn't heard for a day and a half.
  log.tick({{"n1", ArrivalMs(kStart)}, {"n2", ArrivalMs(kStart)}}, kStart);
  const int64_t begin = kStart + kHourMs;
  SECTION("a full tick") { log.tick({{"n1", ArrivalMs(begin)}}, begin, true); }
  SECTION("entries, then a full tick") {
    log.clicks({{.id = "x", .timestamp = begin, .received = begin}}, begin, begin);
    log.tick({{"n1", ArrivalMs(begin)}}, begin, true);
  }
  for (int64_t now = begin; now < begin + 36 * kHourMs; now += kMinuteMs)
    log.tick({{"n1", ArrivalMs(now)}}, now);
  const int64_t now = begin + 36 * kHourMs;
  // Too old, had n2 not been waited for; and late by another grace than is in force at last.
  const int64_t old = begin + 30 * kHourMs;
  log.clicks({{.id = "a", .timestamp = old, .received = old + 200'000}}, now, old, false, "n2");
  log.settings({}, now);
  auto options = options_of(begin + 26 * kHourMs, now);
  CHECK(recount_of(log, options).size() == 1);
  const auto cut = recount(options, log.from(3).reader()).value();
  CHECK(cut.judged_from_ms > INT64_MIN);
  CHECK(cut.judged_from_ms <= old);
  CHECK(shown(cut.rows) == recount_of(log, options));
}

TEST_CASE("recount: ids that were kept for longer by the time are waited for", "[stream]") {
  TestLog log;
  Settings settings;
  settings.dedup_hours = 48;
  log.settings(settings, kStart);
  log.tick({{"n1", ArrivalMs(kStart)}}, kStart, true);
  log.settings({}, kStart + 50 * kHourMs);
  const auto cut = recount(options_of(), log.from(2).reader()).value();
  CHECK(cut.judged_from_ms == kStart + 48 * kHourMs + kMinuteMs);
}

TEST_CASE("recount: a full tick that doesn't agree with the log is damage", "[stream]") {
  TestLog log;
  log.clicks({{"a"}}, kStart + 200, kStart);
  log.footing.horizon.advance(LogMs(kStart + 5 * kHourMs));
  log.footing.horizon.settle(24, 72);
  log.tick({{"n1", ArrivalMs(kStart + 5 * kHourMs)}}, kStart + 5 * kHourMs, true);
  REQUIRE(recount(options_of(), log.reader()));
  log.footing.horizon.advance(LogMs(kStart + 50 * kHourMs));
  log.footing.horizon.tell("n1", ArrivalMs(kStart + 50 * kHourMs));
  log.tick({}, kStart + 6 * kHourMs, true);
  const auto wrong = recount(options_of(), log.reader());
  REQUIRE_FALSE(wrong);
  CHECK(wrong.error().code() == Errc::corrupt);
  CHECK(wrong.error().message().find("log offset 3") != std::string::npos);
}

TEST_CASE("recount: a damaged entry is an error that names its offset", "[stream]") {
  TestLog log;
  log.clicks({{"a"}}, kStart + 200, kStart);
  auto entries = log.entries();
  entries[0].payload.pop_back();
  const auto broken = recount(options_of(), [&](const auto& visit) { return visit(entries[0]); });
  CHECK(broken.error().code() == Errc::corrupt);
  CHECK(broken.error().message().find("log offset 1") != std::string::npos);
}

TEST_CASE("recount: differences name ad, minute, and what is stored and recounted", "[stream]") {
  TestLog log;
  log.clicks({{.id = "a", .user = "u1", .country = click::country_of('D', 'E')},
              {.id = "b", .device = click::Device::tablet, .user = "u2"},
              {.id = "c", .ad = "ad_2"}},
             kStart + 200, kStart);
  const auto right = recount(options_of(), log.reader()).value().rows;
  CHECK(differences(right, right).empty());

  auto stored = right;
  stored[0].counts.clicks = 3;
  stored[0].counts.devices[0] = 2;
  stored[0].counts.countries = {{click::country_of('F', 'R'), 1}, {click::kUnknownCountry, 1}};
  auto found = differences(stored, right);
  REQUIRE(found.size() == 1);
  CHECK(to_text(found[0]) ==
        "ad_1 2026-06-24T10:00:00Z adv_1: clicks stored 3, recounted 2; mobile stored 2, recounted "
        "1; "
        "DE stored 0, recounted 1; FR stored 1, recounted 0");
  stored = right;
  stored[0].visitors.add(12345);
  found = differences(stored, right);
  REQUIRE(found.size() == 1);
  CHECK(to_text(found[0]) == "ad_1 2026-06-24T10:00:00Z adv_1: unique_users stored 3, recounted 2");

  stored = right;
  stored.erase(stored.begin());
  found = differences(stored, right);
  REQUIRE(found.size() == 1);
  CHECK(found[0].stored.counts.clicks == 0);
  CHECK(found[0].recounted.counts.clicks == 2);
  found = differences(right, stored);
  REQUIRE(found.size() == 1);
  CHECK(found[0].stored.counts.clicks == 2);
  CHECK(found[0].recounted.counts.clicks == 0);
  CHECK(differences({store::Row{}}, {}).empty());
}

TEST_CASE("recount: agrees with the stream on random logs", "[stream]") {
  const uint64_t seed = GENERATE(range<uint64_t>(1, 41));
  CAPTURE(seed);
  Random random(seed);
  TestLog log;
  Settings settings;
  settings.dedup_hours = static_cast<int64_t>(1 + random.below(3));
  settings.stale_after_hours = settings.dedup_hours + static_cast<int64_t>(random.below(4));
  settings.nodes = {"n1", "n2"};
  const auto window = [&] { return static_cast<int64_t>(random.below(3) * random.below(9'000)); };
  settings.double_click_ms = window();
  int64_t now = kStart;
  const auto pick = [&](int64_t most) {
    return static_cast<int64_t>(random.below(static_cast<uint64_t>(most)));
  };
  log.settings(settings, now);
  int64_t hour = now / kHourMs;
  for (int step = 0; step < 200; ++step) {
    // Mostly moments, now and then hours.
    now += random.below(8) == 0 ? pick(3 * kHourMs) : pick(20'000);
    const uint64_t what = random.below(10);
    if (hour != now / kHourMs) {
      hour = now / kHourMs;
      log.tick({{"n1", ArrivalMs(now - pick(kHourMs))}}, now, true);
    }
    if (what == 0) {
      log.tick(
          {{"n1", ArrivalMs(now - pick(kMinuteMs))}, {"n2", ArrivalMs(now - pick(4 * kHourMs))}},
          now);
    } else if (what == 1 && random.below(4) == 0) {
      settings.dedup_hours = static_cast<int64_t>(1 + random.below(3));
      settings.window_grace_ms = pick(60'000);
      settings.double_click_ms = window();
      log.settings(settings, now);
    } else if (what == 2 && log.next() > 1) {
      Decision decision{random.below(3) == 0 ? Verdict::reject : Verdict::accept,
                        "ops",
                        {{"adv_2", "video"}},
                        {}};
      for (Offset click(1 + random.below(10)); click.value() < log.next();
           click = click + 1 + random.below(20)) {
        decision.items.push_back({click, static_cast<uint32_t>(random.below(2))});
      }
      if (!decision.items.empty()) log.decision(decision, now);
    } else {
      const int64_t low = now - (random.below(3) == 0 ? pick(6 * kHourMs) : pick(1'000));
      std::vector<TestClick> clicks(1 + random.below(20));
      for (TestClick& click : clicks) {
        click.id = std::to_string(random.below(120));
        click.ad = "ad_" + std::to_string(random.below(3));
        click.received = low + pick(now - low + 1);
        click.timestamp = click.received - pick(100'000) + pick(60'000);
        click.flags = static_cast<uint8_t>(random.below(6) == 0 ? random.below(4) : 0);
        if (random.below(3) == 0) click.flags |= click::kAutomated;
        if (random.below(2) == 0) click.flags |= click::kIdMade;
        click.device = static_cast<click::Device>(random.below(4));
        click.user = "u" + std::to_string(random.below(30));
        click.country = random.below(2) == 0 ? click::kUnknownCountry : click::country_of('D', 'E');
      }
      log.clicks(clicks, now, low, random.below(3) == 0, random.below(2) == 0 ? "n1" : "n2");
    }
  }
  auto options = options_of(kStart - kDayMs, now + kDayMs);
  if (random.below(2) == 0) options = options_of(kStart + kHourMs, kStart + 20 * kHourMs);
  options.ids_most = 1 + random.below(200);
  const auto recounted = recount(options, log.reader()).value();
  const auto stored = stream_rows(log, options);
  CHECK(recounted.rows.size() > 10);
  std::string report;
  for (const auto& difference : differences(stored, recounted.rows))
    report += to_text(difference) + "\n";
  CHECK(report.empty());
}

}  // namespace clickmill::stream
