// Goal: what PartitionLog said was durable is there after any crash, what it reads
// is what was appended, and freeing journal files never takes anything it needs.
// Method: random operations beside a model so naive that it is plainly right: the
// list of everything ever written. A kill or power loss at any point may lose the
// end of that list, but nothing that was durable. No threads: the journal is pumped
// and its news are delivered by the test, sometimes late.

#include "log/partition_log.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/node_clock.h"
#include "base/random.h"
#include "log/sealed_model.h"
#include "simulation/quiet_log.h"
#include "simulation/sim_file_system.h"

namespace clickmill::log {
namespace {

constexpr PartitionId kPartition(3);
constexpr uint64_t kFileBytes = 64 << 10;
const std::string kJournal = "/journal";
const std::string kSegments = "/log/3";

/// A write of the log: an entry, or the cut before `cut_from`.
struct Write {
  std::optional<Entry> entry;
  Offset cut_from;
  uint64_t life = 1;  ///< of the log, when it was written
};

/// The log after the first `count` writes.
std::vector<Entry> log_after(const std::vector<Write>& writes, size_t count) {
  std::vector<Entry> log;
  for (size_t i = 0; i < count; ++i) {
    if (writes[i].entry) {
      log.push_back(*writes[i].entry);
    } else {
      while (!log.empty() && log.back().last() >= writes[i].cut_from) log.pop_back();
    }
  }
  return log;
}

struct News {
  Offset last;
  uint64_t life;
};

class LogMachine {
 public:
  explicit LogMachine(uint64_t seed) : random(seed), files(seed) {
    options.file_bytes = kFileBytes;
    options.group_bytes = 4 << 10;
    options.unsynced_bytes = 16 << 10;
    reopen();
  }

  void reopen() {
    log.reset();
    journal.reset();
    segments.reset();
    news.clear();
    auto opened_segments = Segments::open(files, kSegments, codec, {.segment_bytes = 20'000});
    if (!opened_segments) FAIL(opened_segments.error().text());
    segments = *std::move(opened_segments);
    RecoveredLog recovered(segments->last());
    auto opened_journal = Journal::open(files, kJournal, node_clock, options,
                                        [&](JournalPos position, const RecordView& record) {
                                          // Other records share the journal.
                                          if (record.kind == RecordKind::click) return Status();
                                          return recovered.replay(position, record);
                                        });
    if (!opened_journal) FAIL(opened_journal.error().text());
    journal = *std::move(opened_journal);
    PartitionLog::Callbacks callbacks;
    callbacks.on_durable = [this](Offset last, uint64_t life) {
      news.push_back({last, life});
      // The log's writes are in the journal in their order.
      for (size_t i = writes.size(); i-- > durable_writes;) {
        const auto& entry = writes[i].entry;
        if (entry && entry->last() == last && writes[i].life == life) durable_writes = i + 1;
      }
    };
    auto opened = PartitionLog::open(kPartition, *segments, *journal, std::move(recovered),
                                     std::move(callbacks));
    if (!opened) FAIL(opened.error().text());
    log = *std::move(opened);
  }

  /// Takes over how much of the end a crash has left, which must be what some
  /// prefix of the writes gives, the durable ones included.
  void accept_what_is_there() {
    const std::vector<Entry> there = read_all();
    const std::string text = text_of(there);
    size_t count = writes.size() + 1;
    while (count > durable_writes && text_of(log_after(writes, count - 1)) != text) --count;
    REQUIRE(count > durable_writes);
    writes.resize(count - 1);
    durable_writes = writes.size();
    entries = there;
    const auto found = std::find(states.begin() + static_cast<std::ptrdiff_t>(durable_state),
                                 states.end(), log->hard_state());
    REQUIRE(found != states.end());
    states = {log->hard_state()};
    durable_state = 0;
    // Nothing that was committed may be missing; what is not sealed is committed anew.
    REQUIRE(log->last() >= committed);
    REQUIRE(log->committed() <= committed);
    REQUIRE(log->durable() == log->last());
    log->commit(committed);
  }

  std::vector<Entry> read_all() {
    std::vector<Entry> out;
    for (Offset next(1); next <= log->last();) {
      const auto read = log->read(next, 1 + random.below(5000));
      if (!read) FAIL(read.error().text());
      REQUIRE_FALSE(read->empty());
      for (const auto& entry : *read) {
        REQUIRE(entry->first == next);
        out.push_back(*entry);
        next = entry->last() + 1;
      }
    }
    return out;
  }

  void append() {
    Entry entry;
    entry.first = log->last() + 1;
    entry.count = static_cast<uint32_t>(random.one_in(3) ? 1 : 1 + random.below(1200));
    entry.kind = static_cast<uint8_t>(random.below(4));
    entry.term = term;
    time =
        time + static_cast<int64_t>(random.one_in(12) ? random.below(900'000) : random.below(100));
    entry.append_ms = time;
    entry.payload.assign(random.below(random.one_in(5) ? 6000 : 200),
                         static_cast<char>('a' + random.below(26)));
    Entry copy = entry;
    if (!log->append(std::move(copy))) return;
    writes.push_back({entry, {}, log->life()});
    entries.push_back(std::move(entry));
  }

  void truncate() {
    if (log->last() <= committed) return;
    const Offset from = committed + 1 + random.below(log->last() - committed);
    if (!log->truncate_suffix(from, log->life() + 1)) return;
    // What takes its place is of a later term, or comes back in its old one.
    if (random.one_in(2)) ++term;
    size_t kept = entries.size();
    while (kept > 0 && entries[kept - 1].last() >= from) --kept;
    writes.push_back({std::nullopt, entries[kept].first, log->life()});
    entries.resize(kept);
    if (!entries.empty()) time = std::max(time, entries.back().append_ms);
  }

  void pump() {
    while (journal->pump()) {
    }
    if (journal->health() == Journal::Health::ok) {
      durable_writes = writes.size();
      durable_state = states.size() - 1;
    }
  }

  void deliver(size_t count) {
    for (size_t i = 0; i < std::min(count, news.size()); ++i)
      log->durable_upto(news[i].last, news[i].life);
    news.erase(news.begin(),
               news.begin() + static_cast<std::ptrdiff_t>(std::min(count, news.size())));
    check_durable();
  }

  /// What is called durable is in a durable write.
  void check_durable() {
    REQUIRE(log->durable() <= log->last());
    const auto safe = log_after(writes, durable_writes);
    for (const Entry& entry : entries) {
      if (entry.last() > log->durable()) break;
      REQUIRE(std::any_of(safe.begin(), safe.end(),
                          [&](const Entry& one) { return text_of({one}) == text_of({entry}); }));
    }
  }

  void commit() {
    // Up to the end of some durable entry.
    Offset upto = committed;
    for (const Entry& entry : entries) {
      if (entry.last() <= log->durable() && (entry.last() <= committed || random.one_in(2)))
        upto = std::max(upto, entry.last());
    }
    committed = upto;
    log->commit(upto);
    REQUIRE(log->committed() == committed);
  }

  void seal() {
    std::vector<Entry> whole;
    for (const auto& entry : log->sealable()) whole.push_back(*entry);
    if (whole.empty()) return;
    REQUIRE(whole.front().first == segments->last() + 1);
    REQUIRE(whole.back().last() <= committed);
    if (!segments->seal(whole)) return;
    if (random.one_in(3)) return;  // the worker has not heard of it yet
    log->sealed_upto(whole.back().last());
  }

  void catch_up_with_seal() {
    if (segments->last() >= Offset(1)) log->sealed_upto(segments->last());
  }

  void release(bool copies) {
    const JournalPos current(journal->current_file() * kFileBytes);
    if (copies) log->copy_forward(current, 1 + random.below(20'000));
    journal->release_before(std::min(current, log->oldest_needed()));
  }

  void set_hard_state() {
    if (random.one_in(2)) ++term;
    HardState state{term, random.one_in(2) ? "n" + std::to_string(random.below(3)) : ""};
    if (log->set_hard_state(state)) states.push_back(state);
  }

  void check_reading() {
    REQUIRE(log->last() == (entries.empty() ? Offset(0) : entries.back().last()));
    REQUIRE(log->hard_state() == states.back());
    REQUIRE(log->read(log->last() + 1, 100).value().empty());
    if (entries.empty()) return;
    REQUIRE(log->last_term() == entries.back().term);
    REQUIRE(log->last_append_ms() >= entries.back().append_ms);
    const Offset from = Offset(1) + random.below(log->last().value());
    const auto read = log->read(from, 1 + random.below(3000));
    if (!read) FAIL(read.error().text());
    auto expected = std::find_if(entries.begin(), entries.end(),
                                 [&](const Entry& entry) { return entry.last() >= from; });
    REQUIRE_FALSE(read->empty());
    for (const auto& entry : *read) {
      REQUIRE(expected != entries.end());
      REQUIRE(text_of({*entry}) == text_of({*expected}));
      ++expected;
    }
    if (const auto there = log->term_at(from)) {
      const auto holder = std::find_if(entries.begin(), entries.end(),
                                       [&](const Entry& entry) { return entry.last() >= from; });
      REQUIRE(*there == holder->term);
    }
  }

  void restart(bool power_loss) {
    if (power_loss) {
      files.crash();
      files.restart();
    } else {
      files.kill();
    }
    files.fail_sync_after(0);
    reopen();
    accept_what_is_there();
  }

  void step() {
    switch (random.below(14)) {
      case 0:
      case 1:
      case 2:
      case 3: append(); break;
      case 4:
        if (random.one_in(3)) truncate();
        break;
      case 5:
      case 6: pump(); break;
      case 7: deliver(random.below(4)); break;
      case 8:
        deliver(news.size());
        commit();
        break;
      case 9:
        catch_up_with_seal();
        seal();
        break;
      case 10: release(random.one_in(2)); break;
      case 11: set_hard_state(); break;
      case 12:
        if (random.one_in(4)) files.fail_sync_after(1 + random.below(4));
        break;
      default:
        if (random.one_in(4)) restart(random.one_in(2));
        break;
    }
    check_reading();
  }

  const simulation::QuietLog quiet;
  Random random;
  simulation::SimFileSystem files;
  ManualClock clock{1'782'295'200'000};
  NodeClock node_clock{clock};
  Journal::Options options;
  RowCodec codec;
  std::unique_ptr<Segments> segments;
  std::unique_ptr<Journal> journal;
  std::unique_ptr<PartitionLog> log;
  std::vector<News> news;  // told by the journal, not yet heard by the worker

  std::vector<Write> writes;
  size_t durable_writes = 0;
  std::vector<Entry> entries;  // log_after(all writes), kept up to date
  Offset committed;
  std::vector<HardState> states{HardState{}};
  size_t durable_state = 0;
  Term term{1};
  LogMs time{1'782'295'200'000};
};

TEST_CASE("partition log: equals a naive model through crashes at any point", "[log]") {
  uint64_t sealed = 0;
  uint64_t freed = 0;
  for (uint64_t seed = 0; seed < 250; ++seed) {
    CAPTURE(seed);
    LogMachine machine(seed);
    for (int step = 0; step < 200; ++step) {
      CAPTURE(step);
      machine.step();
    }
    machine.restart(true);
    sealed += machine.segments->last() > Offset(0) ? 1 : 0;
    freed += machine.journal->file_count() < machine.journal->current_file() ? 1 : 0;
  }
  // The runs must reach what they are about.
  CHECK(sealed > 50);
  CHECK(freed > 100);
}

TEST_CASE("partition log: a crash at any disk operation of a short life", "[log]") {
  for (uint64_t seed = 0; seed < 4; ++seed) {
    for (uint64_t operation = 1;; ++operation) {
      CAPTURE(seed, operation);
      LogMachine machine(seed);
      machine.files.crash_at_operation(operation);
      for (int step = 0; step < 40 && !machine.files.crashed(); ++step) {
        machine.append();
        if (step % 3 == 0) machine.pump();
        if (step % 7 == 0) machine.set_hard_state();
        machine.deliver(machine.news.size());
        if (step % 4 == 0) machine.commit();
        machine.catch_up_with_seal();
        if (step % 5 == 0) machine.seal();
        if (step % 6 == 0) machine.release(true);
      }
      if (!machine.files.crashed()) break;
      machine.files.restart();
      machine.reopen();
      machine.accept_what_is_there();
      machine.append();
      machine.pump();
      machine.restart(true);
      machine.check_reading();
    }
  }
}

TEST_CASE("partition log: a newer hard state on its way leaves the older one's file alone",
          "[log]") {
  LogMachine machine(1);
  REQUIRE(machine.log->set_hard_state({Term(4), "n1"}));
  machine.pump();
  const uint64_t file = machine.journal->current_file();
  REQUIRE(machine.log->set_hard_state({Term(5), "n2"}));
  // The worker hears of the first only now, when the second is not durable yet.
  CHECK(machine.log->oldest_needed() < JournalPos((file + 1) * kFileBytes));
  machine.pump();
  CHECK(machine.log->oldest_needed() > JournalPos(file * kFileBytes));
}

TEST_CASE("partition log: a hard state holds no file but the newest", "[log]") {
  LogMachine machine(1);
  REQUIRE(machine.log->set_hard_state({Term(4), "n1"}));
  machine.pump();
  const uint64_t file = machine.journal->current_file();
  while (machine.journal->current_file() == file) {
    Append click;
    click.lane = Lane::redirects;
    click.kind = RecordKind::click;
    click.payload.assign(4000, 'c');
    REQUIRE(machine.journal->append(std::move(click)));
    machine.pump();
  }
  const JournalPos current(machine.journal->current_file() * kFileBytes);
  CHECK(machine.log->oldest_needed() < current);
  for (int rounds = 0; rounds < 3; ++rounds) {
    machine.log->refresh_hard_state(current);
    if (rounds > 0) CHECK(machine.journal->queued_bytes() == 0);
    machine.pump();
    CHECK(machine.log->oldest_needed() >= current);
  }
  machine.states = {machine.log->hard_state()};
  machine.durable_state = 0;
  machine.restart(true);
  CHECK(machine.log->hard_state() == HardState{Term(4), "n1"});
}

TEST_CASE("partition log: stale news of a cut entry make nothing durable", "[log]") {
  LogMachine machine(1);
  machine.append();
  machine.append();
  machine.pump();
  REQUIRE(machine.news.size() == 2);
  REQUIRE(machine.log->truncate_suffix(machine.entries.back().first, 2));
  machine.entries.pop_back();
  machine.append();
  machine.append();
  for (const News& one : machine.news) machine.log->durable_upto(one.last, one.life);
  CHECK(machine.log->durable() <= machine.entries.front().last());
}

TEST_CASE("partition log: copying forward frees the files that quiet entries hold", "[log]") {
  LogMachine machine(1);
  for (int i = 0; i < 3; ++i) machine.append();
  machine.pump();
  // Other records fill files behind them.
  for (int i = 0; i < 60; ++i) {
    Append other;
    other.kind = RecordKind::click;
    other.payload.assign(8000, 'x');
    REQUIRE(machine.journal->append(std::move(other)));
    machine.pump();
  }
  machine.release(false);
  const uint64_t before = machine.journal->file_count();
  REQUIRE(before > 5);
  for (int i = 0; i < 10; ++i) {
    machine.release(true);
    machine.pump();
  }
  CHECK(machine.journal->file_count() <= 2);
  machine.restart(true);
  machine.check_reading();
  CHECK(machine.entries.size() == 3);
}

}  // namespace
}  // namespace clickmill::log
