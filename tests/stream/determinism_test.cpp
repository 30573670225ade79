// One recorded log must give the same digests, the same tally and the same
// answers however it is applied: in one go or with restarts at any checkpoint,
// with rows in the head or in parts, from memory or from decoded blocks, in
// large entries or small ones.

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/query_params.h"
#include "query/aggregate.h"
#include "recorded_log.h"
#include "simulation/sim_file_system.h"
#include "state/memory_store.h"
#include "stream/pipeline.h"

namespace clickmill::stream {
namespace {

using Entries = std::vector<log::Entry>;

constexpr uint64_t kSeed = 20260624;
constexpr PartitionId kPartition{3};
const std::string kStore = "/store";

/// What must not depend on the way.
struct Outcome {
  std::map<Offset, uint64_t> digests;
  Tally tally;
  std::map<std::string, std::string> answers;  // by query
  std::vector<std::string> in_review;          // clicks that wait for a decision
};

/// How a log is applied.
struct Way {
  std::string name;
  uint64_t checkpoint_in = 0;  // one in so many entries, 0: never
  uint64_t restart_in = 0;     // one in so many entries a crash, 0: never
  size_t flush_rows = 1024;
  int64_t flush_age_ms = kHourMs;
};

class Run {
 public:
  Run(Way way, uint64_t seed) : way_(std::move(way)), files_(seed), random_(seed) {
    REQUIRE(files_.create_directories(kStore));
    REQUIRE(files_.sync_directory("/"));
    open();
  }

  Outcome apply_all(const Entries& entries) {
    for (size_t next = 0; next < entries.size();) {
      const auto applied = pipeline_->apply(entries[next++]);
      if (!applied) FAIL(applied.error().text());
      note_digest();
      if (random_.one_in(5)) maintain();
      if (commit_ && random_.one_in(4)) end_checkpoint();
      if (way_.checkpoint_in != 0 && !commit_ && random_.one_in(way_.checkpoint_in)) checkpoint();
      if (way_.restart_in == 0 || !random_.one_in(way_.restart_in)) continue;
      crash();
      open();
      while (next > 0 && entries[next - 1].first > pipeline_->applied()) --next;
    }
    outcome_.tally = pipeline_->tally();
    return std::move(outcome_);
  }
  store::Version version(const store::Scan& scan) const { return pipeline_->version(scan); }
  std::vector<std::string> in_review() const {
    ReviewQuery query;
    query.limit = query.scan_most = SIZE_MAX;
    const auto page = pipeline_->review().list(query, pipeline_->horizon().age_ms());
    if (!page) FAIL(page.error().text());
    std::vector<std::string> clicks;
    for (const auto& [offset, entry] : page->entries) {
      clicks.push_back(std::to_string(offset.value()) + " " + std::string(to_string(entry.reason)) +
                       " " + entry.record);
    }
    return clicks;
  }
  uint64_t checkpoints() const { return checkpoints_; }
  uint64_t restarts() const { return restarts_; }
  uint64_t merges() const { return merges_; }
  size_t parts() const { return pipeline_->part_metas().size(); }

 private:
  void open() {
    Pipeline::Options options;
    options.seed = 99;
    options.store_directory = kStore;
    options.flush_rows = way_.flush_rows;
    options.flush_bytes = UINT64_MAX;
    options.flush_age_ms = way_.flush_age_ms;
    auto opened = Pipeline::open(kPartition, store_, files_, std::move(options));
    if (!opened) FAIL(opened.error().text());
    pipeline_ = *std::move(opened);
    remove_orphans();
  }
  /// As the engine does at the start.
  void remove_orphans() {
    std::set<std::string> named;
    for (const auto& meta : pipeline_->part_metas()) named.insert(meta.name);
    const auto names = files_.list(kStore);
    REQUIRE(names);
    for (const auto& name : *names) {
      if (named.count(name) == 0) REQUIRE(files_.remove(kStore + "/" + name));
    }
  }
  /// It is begun at one time and ended at a later one, written by another thread meanwhile.
  void checkpoint() {
    auto begun = pipeline_->begin_checkpoint();
    if (!begun) FAIL(begun.error().text());
    commit_ = *std::move(begun);
  }
  void end_checkpoint() {
    const auto done = pipeline_->end_checkpoint(*std::exchange(commit_, nullptr));
    if (!done) FAIL(done.error().text());
    ++checkpoints_;
  }
  /// A merge is written at one time and taken in at a later one, as by another thread.
  void maintain() {
    pipeline_->maintain();
    if (merge_) {
      pipeline_->take_merge(*merge_);
      merge_.reset();
      ++merges_;
    } else if ((merge_ = pipeline_->due_merge(store::kAllTime))) {
      REQUIRE(merge_->run());
    }
  }
  void crash() {
    merge_.reset();
    // Perhaps it was written.
    if (commit_ && random_.one_in(2)) ignore(commit_->run(), "nobody lives to hear it");
    commit_.reset();
    pipeline_.reset();
    store_.crash();
    files_.crash();
    files_.restart();
    ++restarts_;
  }
  /// A replay passes the same offsets again: it must come to the same digests there.
  void note_digest() {
    const Digest& digest = pipeline_->digest();
    if (digest.offset == Offset(0)) return;
    const auto [at, is_new] = outcome_.digests.emplace(digest.offset, digest.value);
    if (!is_new && at->second != digest.value) {
      FAIL("a replay gives another digest at offset " << digest.offset.value());
    }
  }

  const Way way_;
  state::MemoryStore store_;
  simulation::SimFileSystem files_;
  Random random_;
  std::unique_ptr<Pipeline> pipeline_;
  std::shared_ptr<Parts::Merge> merge_;
  std::shared_ptr<Commit> commit_;
  Outcome outcome_;
  uint64_t checkpoints_ = 0;
  uint64_t restarts_ = 0;
  uint64_t merges_ = 0;
};

std::string answer_clicks(const Run& run, const std::string& text) {
  const auto parsed = query::parse_clicks(parse_query(text), 1'000'000);
  const auto* request = std::get_if<query::ClicksRequest>(&parsed);
  REQUIRE(request != nullptr);
  const std::vector<store::Version> versions = {run.version(query::head_scan(*request))};
  const auto answer = query::aggregate_clicks(*request, versions);
  if (!answer) FAIL(answer.error().text());
  return query::render_clicks(*request, *answer);
}

std::string answer_top(const Run& run, const std::string& text) {
  const auto parsed = query::parse_top(parse_query(text), 0);
  const auto* request = std::get_if<query::TopRequest>(&parsed);
  REQUIRE(request != nullptr);
  const std::vector<store::Version> versions = {run.version(query::head_scan(*request))};
  const auto answer = query::aggregate_top(*request, versions);
  if (!answer) FAIL(answer.error().text());
  return query::render_top(*request, *answer);
}

std::map<std::string, std::string> ask_everything(const Run& run, int64_t end_ms) {
  std::map<std::string, std::string> answers;
  const std::string range = "from=" + std::to_string(RecordedLog::kBeginMs - 4 * kHourMs) +
                            "&to=" + std::to_string(end_ms + 2 * kHourMs);
  for (const std::string whose :
       {"ad_id=ad_0", "ad_id=ad_7", "advertiser_id=adv_0", "advertiser_id=adv_3"}) {
    for (const std::string how :
         {"granularity=1m&fill=none", "granularity=1h&breakdown=device_type",
          "granularity=1h&breakdown=country", "granularity=1d&timezone=Asia/Kolkata",
          "granularity=total"}) {
      const std::string text = whose + "&" + range + "&" + how;
      answers[text] = answer_clicks(run, text);
    }
  }
  const std::string top = "n=1000&" + range;
  answers[top] = answer_top(run, top);
  return answers;
}

Outcome outcome_of(Way way, const Entries& entries, int64_t end_ms, uint64_t seed = kSeed) {
  Run run(std::move(way), seed);
  Outcome outcome = run.apply_all(entries);
  outcome.answers = ask_everything(run, end_ms);
  outcome.in_review = run.in_review();
  return outcome;
}

/// What stands around the first byte that differs.
std::string difference(const std::string& got, const std::string& want) {
  const auto at = static_cast<size_t>(
      std::mismatch(got.begin(), got.end(), want.begin(), want.end()).first - got.begin());
  const size_t begin = at < 60 ? 0 : at - 60;
  return "got " + got.substr(begin, 120) + ", want " + want.substr(begin, 120);
}

void check_equal(const Outcome& got, const Outcome& want) {
  CHECK(got.digests == want.digests);
  CHECK(got.tally == want.tally);
  CHECK(bool(got.in_review == want.in_review));
  REQUIRE(got.answers.size() == want.answers.size());
  for (const auto& [text, answer] : want.answers) {
    // Whole, they are a page long.
    if (got.answers.at(text) != answer)
      FAIL_CHECK(text << ": " << difference(got.answers.at(text), answer));
  }
}

/// The log as a reader of sealed blocks gets it.
Entries through_blocks(const Entries& entries) {
  const click::ColumnCodec codec;
  Entries out;
  for (size_t begin = 0; begin < entries.size();) {
    size_t end = begin + 1;
    while (end < entries.size() && log::same_block(entries[end - 1], entries[end])) ++end;
    auto block = codec.decode(codec.encode(std::span(entries).subspan(begin, end - begin)));
    if (!block) FAIL(block.error().text());
    for (auto& entry : *block) out.push_back(std::move(entry));
    begin = end;
  }
  return out;
}

/// The same records at the same offsets, with some entries cut in two.
Entries cut_in_two(const Entries& entries, uint64_t seed) {
  Random random(seed);
  Entries out;
  for (const log::Entry& entry : entries) {
    out.push_back(entry);
    if (entry.kind != static_cast<uint8_t>(click::EntryKind::clicks) || entry.count < 2 ||
        random.one_in(2))
      continue;
    ByteCursor cursor(entry.payload);
    REQUIRE(click::decode_batch_header(cursor));
    const size_t header_bytes = cursor.position();
    const auto left = static_cast<uint32_t>(1 + random.below(entry.count - 1));
    for (uint32_t i = 0; i < left; ++i) REQUIRE(click::skip_record(cursor));
    log::Entry right = entry;
    right.first = entry.first + left;
    right.count = entry.count - left;
    right.payload = entry.payload.substr(0, header_bytes) + entry.payload.substr(cursor.position());
    out.back().count = left;
    out.back().payload.resize(cursor.position());
    out.push_back(std::move(right));
  }
  return out;
}

}  // namespace

TEST_CASE("determinism: one log gives one outcome, however it is applied",
          "[stream][determinism]") {
  CAPTURE(kSeed);
  constexpr uint64_t kBlocks = 4;
  const RecordedLog log(kSeed, kBlocks * log::kBlockOffsets);
  const Outcome want = outcome_of({"in one go"}, log.entries(), log.end_ms());
  // Otherwise the log would be too tame to tell anything.
  REQUIRE(want.digests.size() == kBlocks);
  REQUIRE(want.tally.duplicate > 100);
  REQUIRE(want.tally.resent > 100);
  REQUIRE(want.tally.accepted > 10);
  REQUIRE(want.tally.rejected > 10);
  for (size_t reason = 1; reason < kReasons; ++reason) REQUIRE(want.tally.review[reason] > 10);

  SECTION("with checkpoints, flushes and crashes") {
    const auto way = GENERATE(values<Way>({
        {"checkpoints", 50, 0},
        {"checkpoints and flushes of single rows", 20, 0, 1, 0},
        {"never a flush", 20, 0, 1'000'000'000, 1'000'000 * kHourMs},
        {"crashes", 40, 150},
        {"crashes right after checkpoints", 1, 120, 64, 10 * kMinuteMs},
        {"crashes before the first checkpoint", 800, 300, 200, kHourMs},
    }));
    CAPTURE(way.name);
    Run run(way, kSeed);
    Outcome got = run.apply_all(log.entries());
    got.answers = ask_everything(run, log.end_ms());
    got.in_review = run.in_review();
    CHECK(run.checkpoints() > 0);
    CHECK((run.restarts() > 0) == (way.restart_in != 0));
    CHECK((run.parts() > 0) == (way.flush_rows < 1'000'000));
    if (way.flush_rows == 1) CHECK(run.merges() > 0);
    check_equal(got, want);
  }
  SECTION("from decoded blocks") {
    check_equal(outcome_of({"from blocks"}, through_blocks(log.entries()), log.end_ms()), want);
  }
  SECTION("in smaller entries") {
    const Entries cut = cut_in_two(log.entries(), kSeed);
    REQUIRE(cut.size() > log.entries().size());
    check_equal(outcome_of({"cut in two"}, cut, log.end_ms()), want);
    check_equal(outcome_of({"cut in two, with crashes", 30, 200, 100}, cut, log.end_ms()), want);
  }
}

TEST_CASE("determinism: many logs, each with crashes, come to the outcome without",
          "[stream][determinism]") {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    CAPTURE(seed);
    const RecordedLog log(seed, log::kBlockOffsets);
    const Outcome want = outcome_of({"in one go"}, log.entries(), log.end_ms(), seed);
    Random random(seed);
    const Way way{"crashes", 1 + random.below(60), 10 + random.below(200), 1 + random.below(500),
                  static_cast<int64_t>(random.below(3 * kHourMs))};
    check_equal(outcome_of(way, log.entries(), log.end_ms(), seed), want);
  }
}

TEST_CASE("determinism: whatever differs in two logs shows in the next digest",
          "[stream][determinism]") {
  CAPTURE(kSeed);
  const RecordedLog log(kSeed, 2 * log::kBlockOffsets);
  const auto digests = [](const Entries& entries) {
    return Run({"in one go"}, kSeed).apply_all(entries).digests;
  };
  const auto want = digests(log.entries());
  REQUIRE(want.size() == 2);
  Entries other = log.entries();
  // The last entry of its kind before the first digest.
  const auto last_before = [&](click::EntryKind kind) -> log::Entry& {
    auto at = std::find_if(other.begin(), other.end(), [](const log::Entry& entry) {
      return entry.last().value() >= log::kBlockOffsets - 1;
    });
    while (at->kind != static_cast<uint8_t>(kind) || at->last().value() >= log::kBlockOffsets) --at;
    return *at;
  };
  SECTION("a byte of a click's text") { last_before(click::EntryKind::clicks).payload.back() ^= 1; }
  SECTION("the order of two clicks") {
    log::Entry& entry = last_before(click::EntryKind::clicks);
    REQUIRE(entry.count >= 2);
    ByteCursor cursor(entry.payload);
    REQUIRE(click::decode_batch_header(cursor));
    const size_t begin = cursor.position();
    const std::string first(*click::skip_record(cursor));
    const std::string second(*click::skip_record(cursor));
    entry.payload.replace(begin, first.size() + second.size(), second + first);
  }
  SECTION("a tick that was none") {
    log::Entry& tick = last_before(click::EntryKind::tick);
    tick.kind = static_cast<uint8_t>(click::EntryKind::noop);
    tick.payload.clear();
  }
  const auto got = digests(other);
  REQUIRE(got.size() == 2);
  CHECK(got.begin()->second != want.begin()->second);
  CHECK(got.rbegin()->second != want.rbegin()->second);
}

}  // namespace clickmill::stream
