// Goal: whatever instant of a checkpoint, a flush, a merge or an hour's expiry a
// node dies at, a replay gives the model's counts, and no part file is lost or
// left over. Method: a history that reaches every point is run once for every
// visit of every point; there the fail hook throws, the pipeline is thrown away,
// store and disk forget what was not durable, and the rest of the history follows.
// In release builds there are no points, and this test is not there.
#ifndef NDEBUG

#include <catch2/catch.hpp>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/fail_point.h"
#include "stream/stream_fixture.h"

namespace clickmill::stream {
namespace {

/// Every point of src/, and each is reached by the history below.
const std::set<std::string, std::less<>> kPoints = {
    "checkpoint.begin",      "checkpoint.prepared",  "checkpoint.parts_synced",
    "checkpoint.batch_made", "checkpoint.committed", "checkpoint.done",
    "flush.minutes_written", "flush.hours_written",  "flush.days_written",
    "merge.begin",           "merge.written",        "merge.taken",
    "parts.unlink_begin",    "parts.unlinked",       "expiry.hours_removed",
    "repair.table_written",  "shelf.share_begin",    "shelf.share_written",
    "shelf.files_synced",    "shelf.taken",          "shelf.unlink_begin",
};

struct Killed {};

class FailHookGuard {
 public:
  explicit FailHookGuard(FailHook hook) { set_fail_hook(std::move(hook)); }
  ~FailHookGuard() { set_fail_hook({}); }
  FailHookGuard(const FailHookGuard&) = delete;
  FailHookGuard& operator=(const FailHookGuard&) = delete;
};

std::set<std::string> named_parts(Stream& stream) {
  std::set<std::string> names;
  for (const auto& meta : stream.pipeline().part_metas()) names.insert(meta.name);
  return names;
}

std::set<std::string> files_there(Stream& stream) {
  const auto names = stream.files().list("/store");
  REQUIRE(names);
  return {names->begin(), names->end()};
}

/// What the engine does after opening: files that no checkpoint names go.
void remove_orphans(Stream& stream) {
  const auto named = named_parts(stream);
  for (const auto& name : files_there(stream)) {
    if (named.count(name) == 0) REQUIRE(stream.files().remove("/store/" + name));
  }
  REQUIRE(stream.files().sync_directory("/store"));
}

/// Ten hours apart, so that hours expire; enough flushes for merges of merges.
std::vector<TestEntry> history() {
  std::vector<TestEntry> entries;
  RandomLog log(11);
  while (entries.size() < 170) {
    TestEntry entry = log.next();
    if (entry.kind == click::EntryKind::settings) continue;
    // The senders hold nothing old, so that T moves.
    const auto shift = static_cast<int64_t>(entries.size()) * kHourMs / 2;
    entry.append_ms += shift;
    entry.low_water = entry.append_ms;
    for (auto& click : entry.clicks) {
      click.received_ms += shift;
      click.timestamp_ms += shift;
      entry.low_water = std::min(entry.low_water, click.received_ms);
    }
    for (auto& node : entry.low_waters) node.low_water = ArrivalMs(entry.append_ms);
    entries.push_back(std::move(entry));
  }
  return entries;
}

/// Runs the history, dying at the n-th point (0: never). Answers the points passed.
std::vector<std::string> run(const std::vector<TestEntry>& entries, uint64_t seed, size_t die_at) {
  std::vector<std::string> passed;
  Stream stream(seed);
  const FailHookGuard guard([&](std::string_view name) {
    passed.emplace_back(name);
    if (passed.size() == die_at) throw Killed();
  });
  Random repairs(3);
  size_t applied = 0;
  for (const auto& entry : entries) {
    try {
      stream.apply(entry);
      if (++applied % 20 == 0) stream.apply(random_repair(stream.model(), repairs));
      // Every third is written while the stream goes on, merges included.
      if (&entry != &entries.back() && (stream.under_way() || applied % 9 == 0)) {
        stream.checkpoint_step();
      } else {
        stream.checkpoint();
      }
      stream.merge();
      if (applied % 2 == 0) stream.shelve();
    } catch (const Killed&) {
      CAPTURE(passed.back());
      stream.crash();
      stream.replay();
      remove_orphans(stream);
      if (auto text = stream.wrong(); !text.empty()) FAIL("after the replay: " << text);
      stream.checkpoint();
      if (files_there(stream) != named_parts(stream)) FAIL("part files left over");
    }
  }
  if (auto text = stream.wrong(); !text.empty()) FAIL(text);
  // Once more, so that everything counted is what is durable.
  stream.crash();
  stream.open();
  remove_orphans(stream);
  if (auto text = stream.wrong(); !text.empty()) FAIL("at the end, from disk: " << text);
  REQUIRE(stream.stored_reviews() == stream.model().reviews());
  return passed;
}

}  // namespace

TEST_CASE("crash points: dying at any of them and replaying gives the model's counts",
          "[stream][crash]") {
  const auto entries = history();
  const auto passed = run(entries, 1, 0);
  REQUIRE(std::set<std::string, std::less<>>(passed.begin(), passed.end()) == kPoints);
  // The first and the last three visits of each point, and some between.
  std::map<std::string, std::vector<size_t>> visits;
  for (size_t i = 0; i < passed.size(); ++i) visits[passed[i]].push_back(i + 1);
  uint64_t seed = 1;
  for (const auto& [point, at] : visits) {
    CAPTURE(point);
    const size_t step = std::max<size_t>(1, at.size() / 5);
    for (size_t i = 0; i < at.size(); i += i + 3 < at.size() ? step : 1) {
      CAPTURE(at[i]);
      run(entries, ++seed, at[i]);
    }
  }
}

}  // namespace clickmill::stream

#endif
