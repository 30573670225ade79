#pragma once

#include <fmt/format.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/logging.h"
#include "base/random.h"
#include "log/journal.h"
#include "simulation/sim_file_system.h"

namespace clickmill::log {

/// A journal beside a model of what it promised: every record that a waiter was
/// told durable comes back, once, whole, where it was told to be, until its file
/// is released; one that was not comes back whole or never. Whatever contradicts
/// that stands in `problem`, the first thing only.
class JournalLife {
 public:
  static constexpr uint64_t kFileBytes = 96 << 10;
  static Journal::Options small_options() {
    Journal::Options options;
    options.file_bytes = kFileBytes;
    options.group_bytes = 12 << 10;
    options.unsynced_bytes = 32 << 10;
    options.queue_bytes = 1 << 20;
    return options;
  }

  explicit JournalLife(uint64_t seed) : random(seed ^ 0x6a6f7572), sim(seed), files(&sim) {
    if (seed % 2 == 1) options.continue_bytes = kFileBytes / (1 + seed % 3);
    // Every failure here is meant.
    set_logging(LogLevel::off, LogFormat::text);
  }
  JournalLife(const JournalLife&) = delete;
  JournalLife& operator=(const JournalLife&) = delete;
  ~JournalLife() {
    journal.reset();
    set_logging(LogLevel::info, LogFormat::text);
  }

  /// Opens; compares what comes back with what was promised.
  Status open() {
    journal.reset();
    std::vector<std::pair<uint64_t, JournalPos>> found;
    auto opened = Journal::open(*files, "journal", node_clock, options,
                                [&](JournalPos position, const RecordView& record) -> Status {
                                  found.emplace_back(id_of(record), position);
                                  return {};
                                });
    if (!opened) return std::move(opened).error();
    journal = *std::move(opened);
    compare(found);
    return {};
  }
  /// Opens however often the machine goes down meanwhile.
  void open_at_last() {
    while (problem.empty()) {
      auto opened = open();
      if (opened) return;
      if (!sim.crashed()) return note("refused to start: " + opened.error().text());
      sim.restart();
    }
  }

  /// Appends one record; its id, or 0 when it was not taken.
  uint64_t append(Lane lane, size_t filler) {
    const uint64_t id = next_id_++;
    Append record;
    record.lane = lane;
    record.kind = RecordKind::entry;
    record.partition = PartitionId(static_cast<uint32_t>(id % 64));
    record.payload = payload_of(id, filler);
    record.waiter = std::make_shared<Waiter>(*this, id);
    records[id] = {State::waiting, lane, filler, {}};
    if (journal->append(std::move(record))) return id;
    records.erase(id);
    return 0;
  }
  void append_some() {
    for (uint64_t n = 1 + random.below(6); n > 0; --n) {
      const auto filler = random.one_in(8) ? random.below(20'000) : random.below(1'500);
      append(static_cast<Lane>(random.below(kLanes)), filler);
    }
  }
  void pump_all() {
    while (journal->health() == Journal::Health::ok && journal->pump()) {
    }
  }
  void pump_until_ok() {
    do {
      journal->pump();
    } while (journal->health() != Journal::Health::ok);
  }
  /// Releases everything before the file of some durable record.
  void release_some() {
    for (const auto& [id, record] : records) {
      if (record.state == State::durable && random.one_in(3)) release_before(record.position);
    }
  }
  void release_before(JournalPos position) {
    const auto file = std::min(position.value() / kFileBytes, journal->current_file());
    released_file_ = std::max(released_file_, file);
    journal->release_before(JournalPos((file + free_too_much) * kFileBytes));
  }
  void crash() {
    if (!sim.crashed()) sim.crash();
    journal.reset();
    sim.restart();
  }
  void kill() {
    sim.kill();
    journal.reset();
    if (sim.crashed()) sim.restart();
  }

  enum class State { waiting, durable, failed, gone };
  struct Record {
    State state = State::waiting;
    Lane lane = Lane::bulk;
    size_t filler = 0;
    JournalPos position;
  };
  size_t count(State state) const {
    size_t n = 0;
    for (const auto& [id, record] : records) n += record.state == state ? 1 : 0;
    return n;
  }
  void note(std::string what) {
    if (problem.empty()) problem = std::move(what);
  }

  Journal::Options options = small_options();
  Random random;
  simulation::SimFileSystem sim;
  FileSystem* files;  ///< what the journal sees: `sim`, or something around it
  ManualClock clock{1'700'000'000'000};
  NodeClock node_clock{clock};
  std::unique_ptr<Journal> journal;
  std::map<uint64_t, Record> records;
  uint64_t free_too_much = 0;  ///< a flaw: so many files more are released
  std::string problem;

 private:
  class Waiter final : public JournalWaiter {
   public:
    Waiter(JournalLife& life, uint64_t id) : life_(life), id_(id) {}
    void durable(JournalPos position, std::string&& payload) override {
      Record& record = life_.records[id_];
      if (record.state != State::waiting)
        life_.note(fmt::format("record {} is answered twice", id_));
      if (payload != payload_of(id_, record.filler))
        life_.note(fmt::format("record {} is not given back", id_));
      record.state = State::durable;
      record.position = position;
    }
    void failed(const Error&, std::string&&) override {
      Record& record = life_.records[id_];
      if (record.state != State::waiting)
        life_.note(fmt::format("record {} fails after its answer", id_));
      record.state = State::failed;
    }

   private:
    JournalLife& life_;
    uint64_t id_;
  };

  static std::string payload_of(uint64_t id, size_t filler) {
    std::string payload;
    ByteWriter writer(payload);
    writer.u64(id);
    Random content(id);
    while (filler > 0) {
      const std::string word(std::min<size_t>(filler, 64), static_cast<char>(content.below(256)));
      writer.raw(word);
      filler -= word.size();
    }
    return payload;
  }
  uint64_t id_of(const RecordView& view) {
    const uint64_t id = ByteCursor(view.payload).u64();
    const auto record = records.find(id);
    if (record == records.end() || view.partition.value() != id % 64 ||
        view.payload != payload_of(id, record->second.filler)) {
      note(fmt::format("record {} is not what was appended", id));
    }
    return id;
  }

  void compare(const std::vector<std::pair<uint64_t, JournalPos>>& found) {
    std::map<uint64_t, JournalPos> positions;
    std::map<Lane, uint64_t> newest;
    for (const auto& [id, position] : found) {
      Record& record = records[id];
      if (!positions.emplace(id, position).second)
        note(fmt::format("record {} comes back twice", id));
      if (record.state == State::gone) note(fmt::format("record {} comes back from the dead", id));
      if (record.state == State::durable && record.position != position) {
        note(fmt::format("record {} comes back elsewhere", id));
      }
      if (newest[record.lane] > id) note(fmt::format("record {} comes back out of order", id));
      newest[record.lane] = id;
    }
    for (auto& [id, record] : records) {
      const auto at = positions.find(id);
      if (at != positions.end()) {
        record.state = State::durable;
        record.position = at->second;
        continue;
      }
      if (record.state == State::durable &&
          record.position.value() / kFileBytes >= released_file_) {
        note(fmt::format("record {} was durable and is lost", id));
      }
      record.state = State::gone;
    }
  }

  uint64_t next_id_ = 1;
  uint64_t released_file_ = 0;
};

/// One seeded life of a journal: work, failures of every kind, crashes and kills,
/// also during recovery, and between them the comparison with the model.
inline void live(JournalLife& life) {
  Random& random = life.random;
  for (int round = 0; round < 6 && life.problem.empty(); ++round) {
    if (round > 0 && random.one_in(3)) life.sim.crash_at_operation(1 + random.below(8));
    life.open_at_last();
    life.sim.crash_at_operation(0);
    if (!life.problem.empty()) return;
    if (random.one_in(2)) life.sim.crash_at_operation(1 + random.below(60));
    if (random.one_in(4)) life.sim.fail_sync_after(1 + random.below(10));
    if (random.one_in(4)) life.sim.fail_write_after(1 + random.below(12));
    for (uint64_t step = random.below(16); step > 0; --step) {
      life.append_some();
      if (!random.one_in(4)) life.journal->pump();
      if (random.one_in(4)) life.pump_all();
      if (random.one_in(4)) life.release_some();
      life.clock.advance_ms(static_cast<int64_t>(random.below(50)));
    }
    life.sim.crash_at_operation(0);
    // Killed between a failed sync and the new file: what the cache holds is not on the disk.
    const bool half_failed = random.one_in(4);
    if (half_failed) {
      life.append_some();
      life.sim.fail_sync_after(1);
      life.sim.fail_write_after(2);
      life.journal->pump();
    }
    life.sim.fail_sync_after(0);
    life.sim.fail_write_after(0);
    if (!half_failed && random.one_in(2)) {
      life.crash();
    } else {
      life.kill();
    }
  }
}

}  // namespace clickmill::log
