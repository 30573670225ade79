#include "stream/review.h"

#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "state/memory_store.h"
#include "stream/horizon.h"

namespace clickmill::stream {
namespace {

constexpr PartitionId kPartition{7};
constexpr int64_t kStartMs = 1'750'000'020'000;
constexpr int64_t kDay = kDayMs;

std::string record_of(const std::string& ad_id, const std::string& advertiser_id,
                      int64_t timestamp_ms) {
  click::ClickView view;
  view.click_id = "c-1";
  view.ad_id = ad_id;
  view.advertiser_id = advertiser_id;
  view.ad_format = advertiser_id.empty() ? "" : "video";
  view.timestamp_ms = EventMs(timestamp_ms);
  view.received_ms = ArrivalMs(timestamp_ms + kHourMs);
  std::string out;
  click::encode_record(view, out);
  return out;
}

Decision decision_of(Verdict verdict, const std::vector<uint64_t>& clicks,
                     const std::string& advertiser = "") {
  Decision decision{verdict, "ops", {}, {}};
  if (!advertiser.empty()) decision.ads.push_back({advertiser, "banner"});
  for (const uint64_t click : clicks)
    decision.items.push_back({Offset(click), advertiser.empty() ? 0U : 1U});
  return decision;
}

/// What a decision did, as it was told.
struct Told {
  uint64_t click;
  Verdict verdict;
  std::string advertiser_id;
  friend bool operator==(const Told&, const Told&) = default;
};
std::ostream& operator<<(std::ostream& out, const Told& told) {
  return out << told.click << ' ' << to_string(told.verdict) << ' ' << told.advertiser_id;
}

/// The operator over a store that can crash, with everything since the last checkpoint.
class Desk {
 public:
  Desk() { open(); }
  void open() {
    review_ = std::make_unique<Review>(kPartition, store_);
    changes_ = std::make_unique<Changes>(kPartition, store_);
  }
  void flag(uint64_t click, Reason reason, const std::string& ad = "ad_1",
            const std::string& advertiser = "adv_1", int64_t timestamp_ms = kStartMs) {
    review_->flag(Offset(click),
                  {reason, LogMs(kStartMs + age_ms_), record_of(ad, advertiser, timestamp_ms)},
                  age_ms_);
  }
  std::vector<Told> decide(uint64_t record, const Decision& decision) {
    std::vector<Told> told;
    const auto done =
        review_->decide(Offset(record), LogMs(kStartMs + age_ms_), decision, age_ms_, *changes_,
                        [&](Offset click, Verdict verdict, const click::ClickView& view) {
                          told.push_back({click.value(), verdict, std::string(view.advertiser_id)});
                        });
    REQUIRE(done);
    return told;
  }
  void checkpoint() {
    state::Batch batch;
    REQUIRE(review_->checkpoint(batch, age_ms_));
    REQUIRE(changes_->checkpoint(batch, age_ms_));
    REQUIRE(store_.commit(batch, true));
    review_->checkpoint_committed();
    changes_->checkpoint_committed();
  }
  std::vector<uint64_t> listed(ReviewQuery query = {}) const {
    query.limit = 1'000'000;
    query.scan_most = 1'000'000;
    const auto page = review_->list(query, age_ms_);
    REQUIRE(page);
    CHECK(page->done);
    std::vector<uint64_t> clicks;
    for (const auto& [click, entry] : page->entries) clicks.push_back(click.value());
    return clicks;
  }
  /// The clicks in the list of changes.
  std::vector<uint64_t> changed() const {
    const auto listed = changes_->list({}, LogMs(INT64_MAX), 1'000'000, age_ms_);
    REQUIRE(listed);
    std::vector<uint64_t> clicks;
    for (const auto& item : *listed) clicks.push_back(item.change.subject.value());
    return clicks;
  }
  std::optional<uint64_t> decided_by(uint64_t click) const {
    const auto record = review_->decided_by(Offset(click), age_ms_);
    REQUIRE(record);
    return *record ? std::optional((*record)->value()) : std::nullopt;
  }
  bool is_open(uint64_t click) const {
    const auto entry = review_->find(Offset(click), age_ms_);
    REQUIRE(entry);
    return entry->has_value();
  }
  size_t stored_keys() const {
    size_t keys = 0;
    for (const auto& [space, values] : store_.snapshot()) keys += values.size();
    return keys;
  }

  int64_t age_ms_ = 0;
  state::MemoryStore store_;
  std::unique_ptr<Review> review_;
  std::unique_ptr<Changes> changes_;
};

using Clicks = std::vector<uint64_t>;

TEST_CASE("review: an accepted click is told once, with the advertiser it is counted for",
          "[stream]") {
  Desk desk;
  desk.flag(5, Reason::late);
  desk.flag(6, Reason::unknown_ad, "ad_2", "");
  if (GENERATE(false, true)) desk.checkpoint();
  CHECK(desk.listed() == Clicks{5, 6});

  CHECK(desk.decide(9, decision_of(Verdict::accept, {5, 6, 7})) ==
        std::vector<Told>{{5, Verdict::accept, "adv_1"}});
  CHECK(desk.is_open(6));  // nobody to count it for: it waits
  CHECK(desk.decide(10, decision_of(Verdict::accept, {5, 6}, "adv_now")) ==
        std::vector<Told>{{6, Verdict::accept, "adv_now"}});
  CHECK(desk.decide(11, decision_of(Verdict::reject, {5, 6})).empty());
  CHECK(desk.listed().empty());
  CHECK(desk.decided_by(5) == 9);
  CHECK(desk.decided_by(6) == 10);
  CHECK_FALSE(desk.decided_by(7));
}

TEST_CASE("review: what was decided can be listed, with its effect", "[stream]") {
  Desk desk;
  desk.flag(5, Reason::late);
  desk.flag(6, Reason::stale, "ad_2");
  desk.decide(9, decision_of(Verdict::accept, {5}, "adv_now"));
  desk.age_ms_ += 10;
  if (GENERATE(false, true)) desk.checkpoint();
  desk.decide(10, decision_of(Verdict::reject, {6}));
  const auto listed = desk.changes_->list({}, LogMs(INT64_MAX), 10, desk.age_ms_);
  REQUIRE(listed);
  REQUIRE(listed->size() == 2);
  const int64_t minute = floor_to(kStartMs, kMinuteMs);
  CHECK((*listed)[0].position == ChangePosition{LogMs(kStartMs), Offset(9), 0});
  CHECK((*listed)[0].change == Change{Change::Kind::review, Offset(5), "ops", "accept", "late",
                                      "ad_1", "adv_now", minute, 1});
  CHECK((*listed)[1].position == ChangePosition{LogMs(kStartMs + 10), Offset(10), 0});
  CHECK((*listed)[1].change == Change{Change::Kind::review, Offset(6), "ops", "reject", "stale",
                                      "ad_2", "adv_1", minute, 0});

  const auto size = [&](ChangePosition from, int64_t to_ms, size_t limit) {
    const auto found = desk.changes_->list(from, LogMs(to_ms), limit, desk.age_ms_);
    REQUIRE(found);
    return found->size();
  };
  CHECK(size({LogMs(kStartMs + 1), {}, 0}, INT64_MAX, 10) == 1);
  CHECK(size({LogMs(kStartMs), Offset(9), 1}, INT64_MAX, 10) == 1);
  CHECK(size({}, kStartMs + 10, 10) == 1);
  CHECK(size({}, INT64_MAX, 1) == 1);
}

TEST_CASE("review: the list is filtered, and each step of it is bounded", "[stream]") {
  Desk desk;
  const auto reason_of = [](uint64_t click) { return static_cast<Reason>(1 + click % 4); };
  for (uint64_t click = 1; click <= 100; ++click) {
    desk.flag(click, reason_of(click), "ad_" + std::to_string(click % 5), "adv",
              kStartMs + static_cast<int64_t>(click));
    if (click == 60) desk.checkpoint();
  }
  Clicks every_fourth;
  for (uint64_t click = 1; click <= 100; ++click) {
    if (reason_of(click) == Reason::late) every_fourth.push_back(click);
  }
  ReviewQuery query;
  query.reason = Reason::late;
  CHECK(desk.listed(query) == every_fourth);
  query = {};
  query.ad_id = "ad_3";
  query.from_ms = kStartMs + 58;
  query.to_ms = kStartMs + 68;
  CHECK(desk.listed(query) == Clicks{58, 63});
  query = {};
  query.after = Offset(58);
  query.upto = Offset(62);
  CHECK(desk.listed(query) == Clicks{59, 60, 61, 62});

  query = {};
  query.limit = 3;
  query.scan_most = 10;
  query.ad_id = "ad_0";
  std::vector<Clicks> pages;
  for (bool done = false; !done;) {
    const auto page = desk.review_->list(query, 0);
    REQUIRE(page);
    CHECK(page->scans <= 10);
    pages.emplace_back();
    for (const auto& [click, entry] : page->entries) pages.back().push_back(click.value());
    query.after = page->scanned;
    done = page->done;
  }
  REQUIRE(pages.size() == 10);  // ten entries looked at each, two of which match
  for (uint64_t i = 0; i < 10; ++i) CHECK(pages[i] == Clicks{10 * i + 5, 10 * i + 10});
}

TEST_CASE("review: after 90 days a click and its decision are gone, and their space comes back",
          "[stream]") {
  Desk desk;
  desk.flag(5, Reason::late);
  desk.flag(6, Reason::late);
  desk.flag(7, Reason::late);
  desk.decide(9, decision_of(Verdict::reject, {6}));
  desk.checkpoint();
  desk.age_ms_ = kDay;
  desk.flag(11, Reason::late);
  desk.decide(12, decision_of(Verdict::accept, {7}));
  desk.checkpoint();

  desk.age_ms_ = 90 * kDay - 1;
  CHECK(desk.listed() == Clicks{5, 11});
  CHECK(desk.changed() == Clicks{6, 7});
  CHECK(desk.decided_by(6) == 9);
  desk.checkpoint();
  CHECK(desk.listed() == Clicks{5, 11});

  desk.age_ms_ = 90 * kDay;
  CHECK(desk.listed() == Clicks{11});
  CHECK_FALSE(desk.is_open(5));
  CHECK_FALSE(desk.decided_by(6));
  CHECK(desk.changed() == Clicks{7});
  CHECK(desk.decide(13, decision_of(Verdict::accept, {5, 6})).empty());
  desk.checkpoint();
  CHECK(desk.stored_keys() == 2);  // click 11, and what was decided about 7 a day later
  CHECK(desk.listed() == Clicks{11});
  CHECK(desk.changed() == Clicks{7});

  desk.age_ms_ = 91 * kDay;
  desk.checkpoint();
  CHECK(desk.stored_keys() == 0);
}

TEST_CASE("review: random histories with crashes end as the naive model does", "[stream]") {
  // Operations stand in a log; a crash loses what no checkpoint took down, and
  // the log is applied again from there. The model never crashes.
  struct Step {
    enum class Kind : uint8_t { flag, decide, age } kind;
    uint64_t offset;
    Reason reason;
    std::string advertiser;
    Decision decision;
    int64_t age_ms;
    std::vector<Told> told;
  };
  struct Known {
    int64_t born;
    std::string advertiser;
    uint64_t decided_by;  // 0: open
  };
  const auto seed = GENERATE(range(1, 41));
  CAPTURE(seed);
  Random random(static_cast<uint64_t>(seed));
  Desk desk;
  std::vector<Step> log;
  size_t durable = 0;
  int64_t durable_age = 0;
  std::map<uint64_t, Known> model;
  std::vector<std::pair<int64_t, uint64_t>> changed;  // age, click
  int64_t age = 0;

  const auto run = [&](Step& step) {
    if (step.kind == Step::Kind::flag) desk.flag(step.offset, step.reason, "ad", step.advertiser);
    if (step.kind == Step::Kind::age) desk.age_ms_ = step.age_ms;
    return step.kind == Step::Kind::decide ? desk.decide(step.offset, step.decision)
                                           : std::vector<Told>();
  };
  const auto compare = [&] {
    Clicks open;
    std::map<uint64_t, uint64_t> decided;
    for (const auto& [click, known] : model) {
      if (age - known.born >= 90 * kDay) continue;
      if (known.decided_by == 0) open.push_back(click);
      if (known.decided_by != 0) decided[click] = known.decided_by;
    }
    Clicks changes;
    for (const auto& [when, click] : changed) {
      if (age - when < 90 * kDay) changes.push_back(click);
    }
    std::map<uint64_t, uint64_t> found;
    for (const auto& [click, known] : model) {
      if (const auto record = desk.decided_by(click)) found[click] = *record;
    }
    CHECK(desk.listed() == open);
    CHECK(found == decided);
    CHECK(desk.changed() == changes);
  };

  for (uint64_t offset = 1; offset <= 300; ++offset) {
    const uint64_t dice = random.below(20);
    Step step{Step::Kind::flag,
              offset,
              static_cast<Reason>(1 + random.below(4)),
              random.below(3) == 0 ? "" : "adv",
              {},
              age,
              {}};
    if (dice < 9) {
      model[offset] = {age, step.advertiser, 0};
    } else if (dice < 14) {
      step.kind = Step::Kind::decide;
      std::set<uint64_t> clicks;
      for (uint64_t i = 0; i <= random.below(6); ++i) clicks.insert(1 + random.below(offset));
      const auto verdict = random.below(2) == 0 ? Verdict::accept : Verdict::reject;
      const std::string now = random.below(2) == 0 ? "now" : "";
      step.decision = decision_of(verdict, {clicks.begin(), clicks.end()}, now);
      for (const uint64_t click : clicks) {
        const auto at = model.find(click);
        if (at == model.end() || at->second.decided_by != 0 || age - at->second.born >= 90 * kDay)
          continue;
        const std::string advertiser = now.empty() ? at->second.advertiser : now;
        if (verdict == Verdict::accept && advertiser.empty()) continue;
        at->second.decided_by = offset;
        changed.emplace_back(age, click);
        step.told.push_back({click, verdict, advertiser});
      }
    } else if (dice < 17) {
      step.kind = Step::Kind::age;
      age = step.age_ms = age + static_cast<int64_t>(random.below(8)) * kDay;
    } else if (dice < 19) {
      desk.checkpoint();
      durable = log.size();
      durable_age = age;
      continue;
    } else {
      desk.store_.crash();
      desk.open();
      desk.age_ms_ = durable_age;
      for (size_t i = durable; i < log.size(); ++i) CHECK(run(log[i]) == log[i].told);
      compare();
      continue;
    }
    CHECK(run(step) == step.told);
    log.push_back(std::move(step));
    if (offset % 10 == 0) compare();
  }
  compare();
}

TEST_CASE("review: a decision entry is read back as written, and refused when it is cut or changed",
          "[stream]") {
  Decision decision{Verdict::accept, "ops team", {{"adv_1", "video"}, {"adv_2", "banner"}}, {}};
  decision.items = {{Offset(5), 0}, {Offset(6), 2}, {Offset(81920), 1}};
  std::string bytes;
  encode_decision(decision, bytes);
  const auto read = decode_decision(bytes);
  REQUIRE(read);
  CHECK(*read == decision);
  for (size_t length = 0; length < bytes.size(); ++length)
    CHECK_FALSE(decode_decision(bytes.substr(0, length)));
  CHECK_FALSE(decode_decision(bytes + '\0'));
  for (const auto& [at, value] : std::vector<std::pair<size_t, char>>{
           {0, 2}, {1, 0}, {1, 3}, {bytes.size() - 1, 3}, {bytes.size() - 6, 0}}) {
    std::string wrong = bytes;
    wrong[at] = value;
    CAPTURE(at, int{value});
    CHECK_FALSE(decode_decision(wrong));
  }
}

TEST_CASE("review: a damaged entry in the state store is an error, never a count", "[stream]") {
  Desk desk;
  desk.flag(5, Reason::late);
  desk.checkpoint();
  auto image = desk.store_.snapshot();
  std::string& value = image[state::kReviewSpace].begin()->second;
  value = value.substr(0, GENERATE(0, 1, 2, 5, 12));
  desk.store_.restore(std::move(image));
  const auto page = desk.review_->list({}, 0);
  REQUIRE_FALSE(page);
  CHECK(page.error().code() == Errc::corrupt);
  const auto done = desk.review_->decide(Offset(9), LogMs(kStartMs),
                                         decision_of(Verdict::accept, {5}), 0, *desk.changes_,
                                         [](Offset, Verdict, const click::ClickView&) { FAIL(); });
  REQUIRE_FALSE(done);
  CHECK(done.error().code() == Errc::corrupt);
}

TEST_CASE("horizon: age goes on with log time, and a jump is a minute of it", "[stream]") {
  Horizon horizon;
  horizon.advance(LogMs(kStartMs));
  const int64_t begin = horizon.age_ms();
  horizon.advance(LogMs(kStartMs + 40'000));
  CHECK(horizon.age_ms() == begin + 40'000);
  horizon.advance(LogMs(kStartMs + 365 * kDay));
  CHECK(horizon.age_ms() == begin + 100'000);
  horizon.advance(LogMs(kStartMs));
  CHECK(horizon.age_ms() == begin + 100'000);
  std::string bytes;
  horizon.encode(bytes);
  ByteCursor cursor(bytes);
  const auto read = Horizon::decode(cursor);
  REQUIRE(read);
  CHECK(read->age_ms() == horizon.age_ms());
}

}  // namespace
}  // namespace clickmill::stream
