#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/node_clock.h"
#include "click/click.h"
#include "collector/forwarder.h"
#include "collector/spool.h"
#include "log/journal.h"
#include "log/journal_reader.h"
#include "simulation/quiet_log.h"
#include "simulation/sim_file_system.h"

namespace clickmill::collector {

inline const std::string kJournalDirectory = "/journal";
inline constexpr int64_t kStartMs = 1'782'295'200'000;

/// A click whose id is a number, as the spool takes it.
inline std::string record_of(uint64_t id, size_t padding = 0) {
  const std::string click_id = "c" + std::to_string(id);
  const std::string referrer(padding, 'x');
  click::ClickView click;
  click.click_id = click_id;
  click.ad_id = "ad";
  click.timestamp_ms = EventMs(kStartMs);
  click.referrer = referrer;
  std::string record;
  click::encode_record(click, record);
  return record;
}

inline click::ClickView decoded(const std::string& record, click::RecordScratch& scratch) {
  ByteCursor cursor(record);
  auto click = click::decode_record(cursor, scratch);
  REQUIRE(click);
  return *click;
}
inline uint64_t id_of(const std::string& record) {
  click::RecordScratch scratch;
  return std::stoull(std::string(decoded(record, scratch).click_id.substr(1)));
}
inline int64_t received_ms_of(const std::string& record) {
  click::RecordScratch scratch;
  return decoded(record, scratch).received_ms.value();
}
inline std::vector<uint64_t> ids_of(const std::vector<std::string>& records) {
  std::vector<uint64_t> ids;
  for (const auto& record : records) ids.push_back(id_of(record));
  return ids;
}

/// A node's journal and spool on a simulated disk, without threads.
struct SpoolMachine {
  explicit SpoolMachine(uint64_t seed, uint64_t memory_bytes = 64 << 20) : files(seed) {
    journal_options.file_bytes = 64 << 10;
    journal_options.group_bytes = 4 << 10;
    journal_options.unsynced_bytes = 16 << 10;
    spool_options.partitions = 3;
    spool_options.memory_bytes = memory_bytes;
    open();
  }

  void open() {
    node_clock = std::make_unique<NodeClock>(clock);
    RecoveredSpool recovered;
    auto opened = log::Journal::open(files, kJournalDirectory, *node_clock, journal_options,
                                     [&](JournalPos position, const log::RecordView& record) {
                                       return recovered.replay(position, record);
                                     });
    if (!opened) FAIL(opened.error().text());
    journal = *std::move(opened);
    spool = std::make_unique<Spool>(*journal, *node_clock, spool_options,
                                    [this](PartitionId partition) {
                                      if (on_ready) on_ready(partition);
                                    });
    spool->recover(std::move(recovered));
    reader = std::make_unique<log::GroupReader>(spool->reader());
  }
  /// Everything in memory is gone, as after kill -9 (or a power loss).
  void restart(bool power_loss = false) {
    if (power_loss) {
      files.crash();
      files.restart();
    } else {
      files.kill();
    }
    files.fail_sync_after(0);
    journal.reset();
    spool.reset();
    open();
  }

  Status append(uint64_t id, log::Lane lane = log::Lane::redirects, uint32_t partition = 0,
                std::shared_ptr<ClickAnswer> answer = nullptr, size_t padding = 0) {
    return spool->append(PartitionId(partition), record_of(id, padding), false, lane,
                         std::move(answer));
  }
  void pump() {
    while (journal->pump()) {
    }
  }
  std::optional<Spool::Taken> take(uint32_t partition = 0, size_t count_most = 1000,
                                   size_t bytes_most = 1 << 20) {
    return spool->take(PartitionId(partition), count_most, bytes_most, *reader);
  }
  /// Takes and commits everything that is durable; the ids in the order in which they came.
  std::vector<uint64_t> drain(uint32_t partition = 0) {
    std::vector<uint64_t> ids;
    while (auto taken = take(partition)) {
      for (const uint64_t id : ids_of(taken->records)) ids.push_back(id);
      spool->committed(PartitionId(partition), *taken);
    }
    return ids;
  }
  int64_t low_water(uint32_t partition = 0) {
    return spool->low_water(PartitionId(partition)).value();
  }
  void release() {
    const JournalPos current(journal->current_file() * journal->file_bytes());
    journal->release_before(std::min(current, spool->oldest_needed()));
  }

  const simulation::QuietLog quiet;
  simulation::SimFileSystem files;
  ManualClock clock{kStartMs};
  log::Journal::Options journal_options;
  Spool::Options spool_options;
  std::function<void(PartitionId)> on_ready;
  std::unique_ptr<NodeClock> node_clock;
  std::unique_ptr<Spool> spool;
  std::unique_ptr<log::Journal> journal;  ///< its waiters point into the spool: goes first
  std::unique_ptr<log::GroupReader> reader;
};

/// Counts what it hears.
struct CountingAnswer final : ClickAnswer {
  explicit CountingAnswer(bool commit_too = false) : waits(commit_too) {}
  void durable() override { ++durables; }
  void failed() override { ++failures; }
  bool waits_for_commit() const override { return waits; }
  void committed() override { ++commits; }
  const bool waits;
  int durables = 0;
  int failures = 0;
  int commits = 0;
};

}  // namespace clickmill::collector
