// One log, sealed on two nodes that saw it arrive differently: other batches of
// commits, other moments of sealing, restarts in the middle.

#include <catch2/catch.hpp>
#include <map>

#include "click/batch.h"
#include "click/sample_clicks.h"
#include "log/partition_log.h"
#include "log/segment.h"
#include "simulation/sim_file_system.h"

namespace clickmill::click {
namespace {

using log::Entry;
using Files = std::map<std::string, std::string>;

const std::string kLog = "/log/0";
constexpr PartitionId kPartition(0);

/// Batches and ticks, none across a multiple of kBlockOffsets, as the leader makes them.
std::vector<Entry> random_log(uint64_t seed) {
  Random random(seed);
  SampleClicks samples(seed);
  std::vector<Entry> out;
  Offset next(1);
  LogMs time(1'782'295'200'000);
  for (int i = 0; i < 150; ++i) {
    Entry entry{next, 1,  static_cast<uint8_t>(EntryKind::tick), Term(1 + random.below(2)),
                time, "t"};
    if (!out.empty()) entry.term = std::max(entry.term, out.back().term);
    if (!random.one_in(8)) {
      const uint64_t room = log::kBlockOffsets - next.value() % log::kBlockOffsets;
      entry.kind = static_cast<uint8_t>(EntryKind::clicks);
      entry.count =
          static_cast<uint32_t>(std::min(room, 1 + random.below(random.one_in(3) ? 900 : 60)));
      entry.payload.clear();
      encode_batch_header({"n1", random.one_in(9), ArrivalMs(time.value())}, entry.payload);
      for (uint32_t k = 0; k < entry.count; ++k) encode_record(samples.next(), entry.payload);
    }
    next = entry.last() + 1;
    if (random.one_in(20)) time = time + static_cast<int64_t>(random.below(400'000));
    out.push_back(std::move(entry));
  }
  return out;
}

/// One replica: journal, log and segments on a disk of its own.
struct Replica {
  Replica(uint64_t seed, log::Compression how) : random(seed), files(seed), compression(how) {
    open();
  }

  void open() {
    log.reset();
    journal.reset();
    segments.reset();
    auto opened = log::Segments::open(files, kLog, codec, {60'000, compression});
    REQUIRE(opened);
    segments = *std::move(opened);
    log::RecoveredLog recovered;
    log::Journal::Options options;
    options.file_bytes = 4 << 20;
    options.unsynced_bytes = 1 << 20;
    auto made = log::Journal::open(files, "/journal", node_clock, options,
                                   [&](JournalPos position, const log::RecordView& record) {
                                     return recovered.replay(position, record);
                                   });
    REQUIRE(made);
    journal = *std::move(made);
    log::PartitionLog::Callbacks callbacks;
    callbacks.on_durable = [this](Offset last, uint64_t life) { log->durable_upto(last, life); };
    auto attached = log::PartitionLog::open(kPartition, *segments, *journal, std::move(recovered),
                                            std::move(callbacks));
    REQUIRE(attached);
    log = *std::move(attached);
    log->commit(log->last());
  }
  void seal() {
    const auto ready = log->sealable();
    std::vector<Entry> entries;
    for (const auto& entry : ready) entries.push_back(*entry);
    if (entries.empty()) return;
    // A seal may take fewer blocks than are ready.
    if (random.one_in(2)) entries.resize(log::block_length(entries));
    REQUIRE(segments->seal(entries));
    log->sealed_upto(segments->last());
  }
  void take(const std::vector<Entry>& entries) {
    for (size_t at = 0; at < entries.size();) {
      const size_t until = std::min(entries.size(), at + 1 + random.below(40));
      for (; at < until; ++at) REQUIRE(log->append(Entry(entries[at])));
      while (journal->pump()) continue;
      log->commit(random.one_in(3) ? entries[random.below(at)].last() : log->durable());
      if (random.one_in(3)) seal();
      if (random.one_in(10)) open();
    }
    log->commit(log->last());
    while (!log->sealable().empty()) seal();
  }
  Files contents() {
    Files out;
    const auto names = files.list(kLog);
    REQUIRE(names);
    for (const auto& name : *names) {
      if (name != "manifest") out[name] = read_file(files, kLog + "/" + name).value();
    }
    return out;
  }
  /// Everything sealed, decoded, block by block.
  std::vector<std::string> blocks() const {
    std::vector<std::string> out;
    for (Offset next(1); next <= segments->last();) {
      const auto entries = segments->read_block(next);
      REQUIRE(entries);
      out.push_back(codec.encode(*entries));
      next = entries->back().last() + 1;
    }
    return out;
  }

  Random random;
  simulation::SimFileSystem files;
  ManualClock clock{1'782'295'200'000};
  NodeClock node_clock{clock};
  ColumnCodec codec;
  log::Compression compression;
  std::unique_ptr<log::Segments> segments;
  std::unique_ptr<log::Journal> journal;
  std::unique_ptr<log::PartitionLog> log;
};

TEST_CASE("sealing: one log gives the same blocks and files on every replica", "[click]") {
  for (uint64_t seed = 0; seed < 3; ++seed) {
    CAPTURE(seed);
    const auto entries = random_log(seed);
    Replica one(seed * 2 + 100, log::Compression::lz4);
    Replica other(seed * 2 + 101, log::Compression::lz4);
    Replica denser(seed * 2 + 102, log::Compression::zstd);
    one.take(entries);
    other.take(entries);
    denser.take(entries);
    REQUIRE(one.segments->last() > Offset(2 * log::kBlockOffsets));
    REQUIRE(one.contents().size() > 1);
    REQUIRE(one.contents() == other.contents());
    // Another codec gives other files, yet the same blocks in them.
    REQUIRE(denser.contents() != one.contents());
    REQUIRE(denser.blocks() == one.blocks());
  }
}

}  // namespace
}  // namespace clickmill::click
