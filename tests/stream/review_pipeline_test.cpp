#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "base/random.h"
#include "click/batch.h"
#include "simulation/sim_file_system.h"
#include "state/memory_store.h"
#include "store/merge.h"
#include "stream/pipeline.h"
#include "stream/tick.h"

namespace clickmill::stream {
namespace {

constexpr PartitionId kPartition{7};
constexpr int64_t kStartMs = 1'750'000'020'000;

struct Sent {
  std::string click_id;
  std::string ad_id;
  std::string advertiser_id;  ///< empty: unknown ad
  int64_t timestamp_ms = 0;
  int64_t received_ms = 0;
};
std::string record_of(const Sent& sent) {
  click::ClickView view;
  view.click_id = sent.click_id;
  view.ad_id = sent.ad_id;
  view.advertiser_id = sent.advertiser_id;
  view.timestamp_ms = EventMs(sent.timestamp_ms);
  view.received_ms = ArrivalMs(sent.received_ms);
  view.device = click::Device::tablet;
  view.country = click::country_of('D', 'E');
  const std::string user = "u-" + sent.click_id;
  view.user_id = user;
  if (sent.advertiser_id.empty()) view.flags = click::kUnknownAd;
  std::string out;
  click::encode_record(view, out);
  return out;
}

/// advertiser, ad, minute → clicks
using Counts = std::map<std::tuple<std::string, std::string, int64_t>, uint64_t>;

/// One partition's stream, fed with a log that can be replayed.
class Stream {
 public:
  Stream() : files_(1) {
    REQUIRE(files_.create_directories("store"));
    open();
    Settings settings;
    settings.nodes = {"n1"};
    std::string payload;
    encode_settings(settings, payload);
    append(click::EntryKind::settings, 1, payload, kStartMs);
  }
  void open() {
    Pipeline::Options options;
    options.seed = 42;
    options.store_directory = "store";
    options.flush_age_ms = 2 * kMinuteMs;
    auto pipeline = Pipeline::open(kPartition, state_, files_, options);
    REQUIRE(pipeline);
    pipeline_ = std::move(*pipeline);
  }
  Offset append(click::EntryKind kind, uint32_t count, std::string payload, int64_t append_ms) {
    log::Entry entry;
    entry.first = log_.empty() ? Offset(1) : log_.back().last() + 1;
    entry.count = count;
    entry.kind = static_cast<uint8_t>(kind);
    entry.append_ms = LogMs(append_ms);
    entry.payload = std::move(payload);
    log_.push_back(entry);
    REQUIRE(pipeline_->apply(entry));
    return entry.first;
  }
  /// Gives the offset of the first.
  Offset clicks(const std::vector<Sent>& sent, int64_t append_ms) {
    std::string payload;
    click::encode_batch_header({"n1", false, ArrivalMs(append_ms)}, payload);
    for (const Sent& each : sent) payload += record_of(each);
    return append(click::EntryKind::clicks, static_cast<uint32_t>(sent.size()), payload, append_ms);
  }
  Offset decide(Decision decision, int64_t append_ms) {
    std::string payload;
    encode_decision(decision, payload);
    return append(click::EntryKind::decision, 1, payload, append_ms);
  }
  void checkpoint() { REQUIRE(pipeline_->checkpoint()); }
  void crash_and_replay() {
    pipeline_.reset();
    state_.crash();
    open();
    for (const log::Entry& entry : log_) {
      if (entry.first > pipeline_->applied()) REQUIRE(pipeline_->apply(entry));
    }
  }
  /// Everything that is counted, from head and parts.
  std::vector<store::Row> rows() const {
    store::Scan scan;
    scan.from_ms = 0;
    scan.to_ms = INT64_MAX;
    scan.countries = scan.visitors = true;
    const auto version = pipeline_->version(scan);
    auto rows = store::read_merged((*version.parts)[0], 0);
    REQUIRE(rows);
    rows->insert(rows->end(), version.head.begin(), version.head.end());
    store::copy_rows(version.frozen, scan, *rows);
    return *std::move(rows);
  }
  Counts counts() const {
    Counts counts;
    for (const auto& row : rows())
      counts[{row.advertiser_id, row.ad_id, row.bucket_ms}] += row.counts.clicks;
    return counts;
  }
  std::vector<uint64_t> open_clicks() const {
    ReviewQuery query;
    query.limit = query.scan_most = 1'000'000;
    const auto page = pipeline_->review().list(query, pipeline_->horizon().age_ms());
    REQUIRE(page);
    std::vector<uint64_t> clicks;
    for (const auto& [click, entry] : page->entries) clicks.push_back(click.value());
    return clicks;
  }
  std::vector<uint64_t> changed_clicks() const {
    const auto listed =
        pipeline_->changes().list({}, LogMs(INT64_MAX), 1'000'000, pipeline_->horizon().age_ms());
    REQUIRE(listed);
    std::vector<uint64_t> clicks;
    for (const auto& item : *listed) clicks.push_back(item.change.subject.value());
    return clicks;
  }

  simulation::SimFileSystem files_;
  state::MemoryStore state_;
  std::unique_ptr<Pipeline> pipeline_;
  std::vector<log::Entry> log_;
};

Decision accept_of(const std::vector<Offset>& clicks, const std::string& advertiser = "") {
  Decision decision{Verdict::accept, "ops", {}, {}};
  if (!advertiser.empty()) decision.ads.push_back({advertiser, "video"});
  for (const Offset click : clicks) decision.items.push_back({click, advertiser.empty() ? 0U : 1U});
  return decision;
}

TEST_CASE("stream: an accepted click is an amendment of its own minute; first verdicts stay",
          "[stream]") {
  Stream stream;
  const int64_t now = kStartMs + kHourMs;
  const Offset first = stream.clicks({{"late", "ad_1", "adv_1", kStartMs, now},
                                      {"unknown", "ad_2", "", now, now},
                                      {"fine", "ad_1", "adv_1", now, now}},
                                     now);
  CHECK(stream.counts() == Counts{{{"adv_1", "ad_1", floor_to(now, kMinuteMs)}, 1}});
  if (GENERATE(false, true)) stream.checkpoint();
  stream.decide(accept_of({first, first + 1}, "adv_now"), now + 1);
  const Counts want{{{"adv_1", "ad_1", floor_to(now, kMinuteMs)}, 1},
                    {{"adv_now", "ad_1", floor_to(kStartMs, kMinuteMs)}, 1},
                    {{"adv_now", "ad_2", floor_to(now, kMinuteMs)}, 1}};
  CHECK(stream.counts() == want);
  for (const auto& row : stream.rows()) {
    CHECK(row.counts.devices[static_cast<size_t>(click::Device::tablet)] == 1);
    CHECK(row.counts.countries.size() == 1);
    CHECK(row.visitors.estimate() == 1);
  }
  stream.decide(accept_of({first, first + 1}, "adv_other"), now + 2);
  // A copy of the click stays a duplicate, whatever became of the first.
  stream.clicks({{"late", "ad_1", "adv_1", kStartMs, now + 3}}, now + 3);
  CHECK(stream.counts() == want);
  stream.crash_and_replay();
  CHECK(stream.counts() == want);
  const Tally& tally = stream.pipeline_->tally();
  CHECK(tally.received == 4);
  CHECK(tally.counted == 1);
  CHECK(tally.duplicate == 1);
  CHECK(tally.review_total() == 2);
  CHECK(tally.accepted == 2);
  CHECK(tally.rejected == 0);
}

TEST_CASE("stream: a malformed decision stops it", "[stream]") {
  Stream stream;
  log::Entry entry;
  entry.first = stream.pipeline_->applied() + 1;
  entry.kind = static_cast<uint8_t>(click::EntryKind::decision);
  entry.append_ms = LogMs(kStartMs + 1);
  entry.payload = "\x01no decision";
  const auto applied = stream.pipeline_->apply(entry);
  REQUIRE_FALSE(applied);
  CHECK(applied.error().code() == Errc::corrupt);
}

TEST_CASE("stream: what is kept for 90 days goes by log time, of which a jump is a minute",
          "[stream]") {
  Stream stream;
  int64_t now = kStartMs + kHourMs;
  const Offset late = stream.clicks({{"late", "ad_1", "adv_1", kStartMs, now}}, now);
  now += 100 * kDayMs;
  std::string tick;
  encode_tick({{"n1", ArrivalMs(now)}}, nullptr, tick);
  stream.append(click::EntryKind::tick, 1, tick, now);
  stream.checkpoint();
  CHECK(stream.open_clicks() == std::vector<uint64_t>{late.value()});
}

TEST_CASE("stream: decisions end as the naive model says, with crashes and without", "[stream]") {
  const auto seed = GENERATE(range(1, 9));
  CAPTURE(seed);
  Random random(static_cast<uint64_t>(seed));
  Stream steady;  // never checkpoints, never crashes
  Stream crashing;
  Counts counts;
  std::map<uint64_t, std::pair<Sent, bool>> flagged;  // by offset; decided?
  std::vector<uint64_t> changed;
  std::set<std::string> seen;
  uint64_t accepted = 0;
  int64_t now = kStartMs;
  const auto minute_of = [](const Sent& sent) { return floor_to(sent.timestamp_ms, kMinuteMs); };

  for (int round = 0; round < 400; ++round) {
    now += static_cast<int64_t>(random.below(30'000));
    if (random.below(3) != 0) {
      // No entry crosses a multiple of 4,096: the digest is taken there.
      const uint64_t first = steady.log_.back().last().value() + 1;
      const uint64_t count = std::min<uint64_t>(1 + random.below(40), 4096 - first % 4096);
      std::vector<Sent> batch;
      for (uint64_t i = 0; i < count; ++i) {
        Sent sent{"c" + std::to_string(random.below(20'000)),
                  "ad_" + std::to_string(random.below(3)), "adv_1", now, now};
        if (random.one_in(3))
          sent.timestamp_ms -= 120'000 + static_cast<int64_t>(random.below(kHourMs));
        if (random.one_in(20)) sent.timestamp_ms += kHourMs;
        if (random.one_in(10)) sent.advertiser_id.clear();
        const bool late = now > minute_of(sent) + kMinuteMs + 30'000;
        const bool ahead = sent.timestamp_ms > now + 30'000;
        if (!seen.insert(sent.ad_id + " " + sent.click_id).second) {
          // a duplicate
        } else if (late || ahead || sent.advertiser_id.empty()) {
          flagged[first + i] = {sent, false};
        } else {
          ++counts[{sent.advertiser_id, sent.ad_id, minute_of(sent)}];
        }
        batch.push_back(std::move(sent));
      }
      steady.clicks(batch, now);
      crashing.clicks(batch, now);
    } else if (!flagged.empty()) {
      std::set<uint64_t> chosen;
      for (uint64_t i = 0; i < 30; ++i) {
        auto at = flagged.lower_bound(random.below(flagged.rbegin()->first + 1));
        if (at != flagged.end()) chosen.insert(at->first);
      }
      chosen.insert(flagged.rbegin()->first + 1);  // may be no flagged click at all
      Decision decision{
          random.one_in(3) ? Verdict::reject : Verdict::accept, "ops", {{"adv_now", "video"}}, {}};
      for (const uint64_t click : chosen) {
        const auto ad = static_cast<uint32_t>(random.below(2));
        decision.items.push_back({Offset(click), ad});
        const auto at = flagged.find(click);
        if (at == flagged.end() || at->second.second) continue;
        const Sent& sent = at->second.first;
        const std::string advertiser = ad == 1 ? "adv_now" : sent.advertiser_id;
        if (decision.verdict == Verdict::accept && advertiser.empty()) continue;
        at->second.second = true;
        changed.push_back(click);
        if (decision.verdict == Verdict::reject) continue;
        ++counts[{advertiser, sent.ad_id, minute_of(sent)}];
        ++accepted;
      }
      steady.decide(decision, now);
      crashing.decide(decision, now);
    }
    if (random.one_in(8)) crashing.checkpoint();
    if (random.one_in(25)) crashing.crash_and_replay();
  }
  std::vector<uint64_t> open;
  for (const auto& [click, item] : flagged) {
    if (!item.second) open.push_back(click);
  }
  REQUIRE(accepted > 0);
  for (const Stream* stream : {&steady, &crashing}) {
    CHECK(stream->counts() == counts);
    CHECK(stream->open_clicks() == open);
    CHECK(stream->changed_clicks() == changed);
    CHECK(stream->pipeline_->tally().accepted == accepted);
    CHECK(stream->pipeline_->tally().accepted + stream->pipeline_->tally().rejected ==
          changed.size());
  }
  CHECK(steady.pipeline_->tally() == crashing.pipeline_->tally());
  REQUIRE(steady.pipeline_->digest().offset > Offset(0));
  CHECK(steady.pipeline_->digest() == crashing.pipeline_->digest());
}

}  // namespace
}  // namespace clickmill::stream
