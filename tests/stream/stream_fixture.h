#pragma once

#include <catch2/catch.hpp>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/random.h"
#include "simulation/sim_file_system.h"
#include "state/memory_store.h"
#include "store/merge.h"
#include "stream/pipeline.h"
#include "stream/shelf_work.h"
#include "stream/stream_model.h"

namespace clickmill::stream {

inline constexpr PartitionId kPartition{7};
inline constexpr uint64_t kSeed = 99;
/// 2026-06-24T10:00:00Z.
inline constexpr int64_t kStart = 1'782'295'200'000;

/// What a table of a version holds, rows of one key summed.
struct StoredRow {
  store::Counts counts;
  sketch::Hll visitors;
};
using StoredRows = std::map<RowKey, StoredRow>;

inline StoredRows rows_of(const store::Version& version, store::Table table) {
  StoredRows out;
  const auto add = [&](const store::Row& from) {
    StoredRow& row = out[{floor_to(from.bucket_ms, store::bucket_ms(table)), from.advertiser_id,
                          from.ad_id, from.automated}];
    row.counts.merge(from.counts);
    row.visitors.merge(from.visitors);
  };
  store::Scan all;
  all.to_ms = std::numeric_limits<int64_t>::max();
  auto head = version.head;
  store::copy_rows(version.frozen, all, head);
  for (const auto& row : head) add(row);
  const auto parts = store::read_merged((*version.parts)[static_cast<size_t>(table)],
                                        std::numeric_limits<int64_t>::min());
  if (!parts) FAIL(parts.error().text());
  for (const auto& row : *parts) add(row);
  return out;
}

/// The first difference, for a person; empty: none.
inline std::string difference(const StoredRows& stored, const std::map<RowKey, ModelRow>& model) {
  const auto name = [](const RowKey& key) {
    return key.advertiser_id + "/" + key.ad_id + (key.automated ? " of machines" : "") + "@" +
           std::to_string(key.bucket_ms);
  };
  for (const auto& [key, want] : model) {
    const auto found = stored.find(key);
    if (found == stored.end()) return name(key) + ": missing";
    const auto& counts = found->second.counts;
    if (counts.clicks != want.clicks) {
      return name(key) + ": " + std::to_string(counts.clicks) + " clicks, not " +
             std::to_string(want.clicks);
    }
    if (counts.devices != want.devices) return name(key) + ": other device counts";
    if (std::map(counts.countries.begin(), counts.countries.end()) != want.countries) {
      return name(key) + ": other country counts";
    }
    sketch::Hll visitors;
    for (const uint64_t hash : want.visitors) visitors.add(hash);
    if (!(found->second.visitors == visitors)) return name(key) + ": another sketch";
  }
  for (const auto& [key, row] : stored) {
    if (model.count(key) == 0) return name(key) + ": nobody clicked";
  }
  return {};
}

/// One partition's stream on a store and a disk that can crash, with its whole
/// log, so that it can be replayed, and the model beside it.
class Stream {
 public:
  explicit Stream(uint64_t seed, Pipeline::Options options = small_parts())
      : files_(seed), options_(std::move(options)), model_(kSeed) {
    options_.seed = kSeed;
    options_.store_directory = "/store";
    REQUIRE(files_.create_directories("/store"));
    open();
  }
  /// Parts of few rows, so that short histories write and merge many.
  static Pipeline::Options small_parts() {
    Pipeline::Options options;
    options.flush_rows = 8;
    return options;
  }

  void open() {
    shelf_ = std::make_unique<store::Shelf>(files_, "/store");
    hold_named(kPartition, store_, *shelf_);
    options_.shelf = shelf_.get();
    auto opened = Pipeline::open(kPartition, store_, files_, options_);
    if (!opened) FAIL(opened.error().text());
    pipeline_ = *std::move(opened);
  }
  /// Applies it to both and remembers it; the verdicts are the model's.
  std::vector<Fate> apply(const TestEntry& entry) {
    const Offset first = next_;
    log_.push_back(entry.encoded(first));
    next_ = log_.back().last() + 1;
    auto verdicts = model_.apply(entry, first);
    if (Pipeline::takes_long(log_.back())) end_checkpoint();
    apply_again_and_again(log_.back());
    return verdicts;
  }
  /// One batch of the node "n1", which holds nothing older.
  std::vector<Fate> clicks(int64_t append_ms, std::vector<TestClick> clicks) {
    TestEntry entry;
    entry.kind = click::EntryKind::clicks;
    entry.append_ms = append_ms;
    entry.sender = "n1";
    entry.low_water = append_ms;
    for (const auto& click : clicks) entry.low_water = std::min(entry.low_water, click.received_ms);
    entry.clicks = std::move(clicks);
    return apply(entry);
  }
  Fate click(int64_t append_ms, const TestClick& click) {
    return clicks(append_ms, {click}).front();
  }
  /// "n1" says that it holds nothing older than `low_water`.
  void tick(int64_t append_ms, int64_t low_water) {
    TestEntry entry;
    entry.kind = click::EntryKind::tick;
    entry.append_ms = append_ms;
    entry.low_waters = {{"n1", ArrivalMs(low_water)}};
    apply(entry);
  }
  void tick(int64_t append_ms) { tick(append_ms, append_ms); }
  void settings(int64_t append_ms, const Settings& settings) {
    TestEntry entry;
    entry.kind = click::EntryKind::settings;
    entry.append_ms = append_ms;
    entry.settings = settings;
    apply(entry);
  }
  void checkpoint() {
    end_checkpoint();
    const auto done = pipeline_->checkpoint();
    if (!done) FAIL(done.error().text());
  }
  /// The next step of a checkpoint that is written elsewhere: it is begun, written,
  /// or ended; entries may come between. False when it ends, or isn't begun, for an error.
  bool checkpoint_step() {
    if (!commit_) {
      auto begun = pipeline_->begin_checkpoint();
      if (!begun) return false;
      commit_ = *std::move(begun);
    } else if (!written_) {
      ignore(commit_->run(), "its end looks at the answer");
      written_ = true;
    } else {
      written_ = false;
      return pipeline_->end_checkpoint(*std::exchange(commit_, nullptr)).has_value();
    }
    return true;
  }
  bool under_way() const { return commit_ != nullptr; }
  /// Of one under way: until it has succeeded.
  void end_checkpoint() {
    while (commit_) {
      if (!checkpoint_step()) checkpoint_step();
    }
  }
  /// Does the merges that are due.
  void merge() {
    while (const auto merge = pipeline_->due_merge(store::kAllTime)) {
      const auto done = merge->run();
      if (!done && done.error().code() == Errc::io) return;
      if (!done) FAIL(done.error().text());
      pipeline_->take_merge(*merge);
    }
  }
  /// Puts parts together as a node does with those of all its partitions, often: does what is
  /// due first. False: nothing is.
  bool shelve() {
    ShelfRules rules;
    rules.periods = {Period::day, Period::month, Period::month};
    rules.loose_most = 3;
    rules.late_most = 2;
    rules.fan_in = 3;
    rules.rows_apart = 4;
    auto plan = plan_shelving(
        {{kPartition, pipeline_->slot(), pipeline_->horizon().log_time(), pipeline_->free_parts()}},
        rules);
    if (!plan) return false;
    REQUIRE(pipeline_->begin_shelving(plan->shares.front().parts));
    ShelfWork work(*std::move(plan), files_, "/store", *shelf_);
    const auto done = work.write_next();
    const auto finished = done ? work.finish() : Status();
    if (!done || !finished) {
      const Error& why = done ? finished.error() : done.error();
      if (why.code() != Errc::io) FAIL(why.text());
      return false;
    }
    const auto& share = work.shares().front();
    if (share.damage) FAIL(share.damage->text());
    // It may throw, which is no failure.
    const bool taken = pipeline_->take_shelved(*share.parts, share.written);
    REQUIRE(taken);
    return true;
  }
  /// Power loss: state store and disk go back to what is durable.
  void crash() {
    commit_.reset();
    written_ = false;
    pipeline_.reset();
    store_.crash();
    files_.crash();
    files_.restart();
  }
  /// Opens anew and applies what the checkpoint lacks.
  void replay() {
    open();
    for (const auto& entry : log_) {
      if (entry.first <= pipeline_->applied()) continue;
      apply_again_and_again(entry);
    }
  }

  std::string wrong() {
    const auto version = pipeline_->version(everything());
    if (!(pipeline_->tally() == model_.tally())) return "another tally";
    if (pipeline_->horizon().stale_before().value() != model_.t()) return "another stale_before";
    if (pipeline_->horizon().first_kept_hour() != LogHour(model_.first_hour()))
      return "another first_kept_hour";
    if (auto text = difference(rows_of(version, store::Table::minute), model_.minutes());
        !text.empty()) {
      return "minute " + text;
    }
    if (auto text = difference(rows_of(version, store::Table::hour), model_.rolled_up(kHourMs));
        !text.empty()) {
      return "hour " + text;
    }
    if (auto text = difference(rows_of(version, store::Table::day), model_.rolled_up(kDayMs));
        !text.empty()) {
      return "day " + text;
    }
    return {};
  }
  /// Offset and reason of what the durable review space holds.
  std::map<uint64_t, Reason> stored_reviews() {
    std::map<uint64_t, Reason> out;
    REQUIRE(store_.scan(state::kReviewSpace, "", "\xff",
                        [&](std::string_view key, std::string_view value) {
                          // The format stands at the top of review.cpp.
                          ByteCursor cursor(value);
                          cursor.u8();
                          cursor.varint();
                          out[read_key_u64(key.substr(5))] = static_cast<Reason>(cursor.u8());
                          REQUIRE(cursor.ok());
                          return true;
                        }));
    return out;
  }
  uint64_t count_of(const RowKey& key, store::Table table = store::Table::minute) {
    const auto rows = rows_of(pipeline_->version(everything()), table);
    const auto found = rows.find(key);
    return found == rows.end() ? 0 : found->second.counts.clicks;
  }

  static store::Scan everything() {
    store::Scan scan;
    scan.from_ms = std::numeric_limits<int64_t>::min();
    scan.to_ms = std::numeric_limits<int64_t>::max();
    scan.countries = true;
    scan.visitors = true;
    return scan;
  }

  store::Shelf& shelf() { return *shelf_; }
  Pipeline& pipeline() { return *pipeline_; }
  const Model& model() const { return model_; }
  state::MemoryStore& store() { return store_; }
  simulation::SimFileSystem& files() { return files_; }
  const std::vector<log::Entry>& log() const { return log_; }

 private:
  /// What may pass, passes.
  void apply_again_and_again(const log::Entry& entry) {
    for (int tries = 0;; ++tries) {
      const auto done = pipeline_->apply(entry);
      if (done) return;
      const Errc code = done.error().code();
      if ((code != Errc::io && code != Errc::busy) || tries == 200) FAIL(done.error().text());
      // A repair that failed half-way waits for a checkpoint.
      if (code == Errc::busy)
        ignore(pipeline_->checkpoint(), "the entry is tried again in any case");
    }
  }

  state::MemoryStore store_;
  simulation::SimFileSystem files_;
  Pipeline::Options options_;
  Model model_;
  std::unique_ptr<store::Shelf> shelf_;
  std::unique_ptr<Pipeline> pipeline_;
  std::shared_ptr<Commit> commit_;
  bool written_ = false;
  std::vector<log::Entry> log_;
  Offset next_{1};
};

/// Random entries such as several senders' spools bring them, mostly sound,
/// often strange: copies, old arrivals, wrong clocks, jumps of log time.
class RandomLog {
 public:
  explicit RandomLog(uint64_t seed) : random_(seed) { now_ = kStart + at_most(kHourMs); }

  TestEntry next() {
    const uint64_t jump = random_.below(200);
    now_ += at_most(jump < 2    ? 80 * kHourMs
                    : jump < 10 ? 3 * kHourMs
                    : jump < 80 ? kMinuteMs
                                : 2'000);
    TestEntry entry;
    entry.append_ms = now_;
    const uint64_t kind = random_.below(20);
    if (kind == 0) return entry;
    if (kind < 4) {
      entry.kind = click::EntryKind::tick;
      for (const char* node : {"n1", "n2", "n3"}) {
        if (random_.one_in(3)) entry.low_waters.push_back({node, ArrivalMs(now_ - delay())});
      }
      return entry;
    }
    if (kind == 4 && random_.one_in(4)) {
      entry.kind = click::EntryKind::settings;
      entry.settings.dedup_hours = random_.one_in(3) ? static_cast<int64_t>(random_.below(60)) : 24;
      entry.settings.stale_after_hours = 1 + static_cast<int64_t>(random_.below(80));
      entry.settings.window_grace_ms = static_cast<int64_t>(random_.below(60)) * 1000;
      if (random_.one_in(2)) entry.settings.double_click_ms = at_most(10'000);
      entry.settings.nodes = {"n1", "n2"};
      return entry;
    }
    entry.kind = click::EntryKind::clicks;
    entry.sender = "n" + std::to_string(1 + random_.below(3));
    entry.again = random_.one_in(4);
    entry.low_water = now_ - delay();
    const uint64_t count = 1 + random_.below(8);
    for (uint64_t i = 0; i < count; ++i) entry.clicks.push_back(click());
    return entry;
  }
  Random& random() { return random_; }
  int64_t now() const { return now_; }

 private:
  int64_t at_most(int64_t ms) {
    return static_cast<int64_t>(random_.below(static_cast<uint64_t>(ms) + 1));
  }
  int64_t delay() {
    const uint64_t kind = random_.below(40);
    return at_most(kind < 2 ? 100 * kHourMs : kind < 6 ? 5 * kHourMs : 5'000);
  }
  TestClick click() {
    TestClick click;
    click.click_id = "c" + std::to_string(random_.one_in(3) ? random_.below(40) : random_.next());
    click.ad_id = "ad_" + std::to_string(random_.below(1 + random_.below(12)));
    click.advertiser_id = random_.one_in(10) ? "adv_2" : "adv_1";
    click.received_ms = now_ - delay();
    const uint64_t clock = random_.below(30);
    click.timestamp_ms = click.received_ms - at_most(2'000);
    if (clock < 3) click.timestamp_ms = click.received_ms + at_most(60'000);
    if (clock == 3) click.timestamp_ms = click.received_ms - at_most(200'000);
    if (clock == 4) click.timestamp_ms = at_most(kStart);
    click.device = static_cast<click::Device>(random_.below(click::kDevices));
    click.country = click::country_of(static_cast<char>('A' + random_.below(3)), 'E');
    if (random_.one_in(20)) click.flags |= click::kBackfill;
    if (random_.one_in(20)) click.flags |= click::kUnknownAd;
    if (random_.one_in(2)) click.flags |= click::kIdMade;
    if (random_.one_in(3)) click.flags |= click::kAutomated;
    if (!random_.one_in(6))
      click.user_id = "user_" + std::to_string(random_.below(random_.one_in(2) ? 3 : 50));
    return click;
  }

  Random random_;
  int64_t now_;
};

}  // namespace clickmill::stream
