#include "tools/recover.h"

#include <fmt/format.h>

#include <deque>

#include "click/batch.h"
#include "collector/spool_records.h"
#include "engine/data_dir.h"
#include "log/gap_filler.h"
#include "log/journal.h"
#include "log/journal_salvage.h"
#include "log/partition_log.h"
#include "log/segments.h"
#include "state/slots.h"
#include "state/store.h"
#include "stream/checkpoint.h"
#include "tools/progress.h"

namespace clickmill::tools {
namespace {

constexpr uint64_t kStateCacheBytes = 16 << 20;

class Recovery {
 public:
  Recovery(const engine::Config& config, FileSystem& files, Clock& clock, const Print& tell)
      : config_(config),
        files_(files),
        clock_(clock),
        progress_(clock, tell),
        logs_(config.log.partitions) {}

  Result<ForcedRecovery> run() {
    if (!files_.exists(config_.data_dir + "/node")) {
      return Error(Errc::not_found, "no clickmill data directory", config_.data_dir);
    }
    dir_ = TRY(
        engine::DataDir::open(files_, config_.data_dir, config_.node_id, config_.log.partitions));
    TRY(files_.create_directories(dir_->journal()));
    TRY(salvage());
    TRY(open_journal());
    TRY(fill_gaps());
    if (out_.found_damage) TRY(resend());
    TRY(write());
    if (!out_.found_damage) out_.report.push_back("nothing is damaged; nothing was changed");
    return std::move(out_);
  }

 private:
  Status salvage() {
    const auto salvaged = TRY(log::salvage_journal(
        files_, dir_->journal(), log::Journal::Options{}.unsynced_bytes,
        [this](const std::string& path) { progress_.at([&] { return "reading " + path; }); }));
    for (const auto& damage : salvaged.damage) {
      say(fmt::format("{}: bytes {} to {}: {}", damage.path, damage.from_byte, damage.to_byte,
                      damage.what));
    }
    for (const std::string& path : salvaged.kept_aside) say("the original is kept as " + path);
    if (!salvaged.damage.empty()) {
      say("log entries that stood there are told below, but for those that were the last of their "
          "partition: nothing shows that they are gone");
    }
    return {};
  }

  Status open_journal() {
    uint64_t records = 0;
    const auto replay = [this, &records](JournalPos, const log::RecordView& record) -> Status {
      ++records;
      progress_.at([&] { return fmt::format("journal: {} records read", records); });
      // The ads of a cluster: what is gone of them, the other nodes have.
      if (record.partition.value() == logs_.size()) return {};
      if (record.partition.value() > logs_.size()) {
        return Error(Errc::corrupt, "record of an unknown partition");
      }
      if (collector::RecoveredSpool::is_of_spool(record.kind)) return keep_clicks(record);
      return logs_[record.partition.value()].replay(record);
    };
    journal_ = TRY(log::Journal::open(files_, dir_->journal(), node_clock_, {}, replay));
    return {};
  }

  /// Keeps the newest `dedup_hours` of clicks, trimmed or not.
  Status keep_clicks(const log::RecordView& record) {
    if (record.kind == log::RecordKind::trim) return {};
    TRY(collector::for_each_click(record, [&](std::string_view click) {
      clicks_.push_back({record.partition, collector::received_of(click), std::string(click)});
      newest_click_ = std::max(newest_click_, clicks_.back().received);
    }));
    const ArrivalMs from = newest_click_ - int64_t{config_.stream.dedup_hours} * kHourMs;
    while (!clicks_.empty() && clicks_.front().received < from) clicks_.pop_front();
    return {};
  }

  Status fill_gaps() {
    const click::ColumnCodec codec;
    TRY(files_.create_directories(dir_->state()));
    const auto state = TRY(state::open_rocks_store(dir_->state(), kStateCacheBytes));
    for (uint32_t i = 0; i < logs_.size(); ++i) {
      progress_.at([&] {
        return fmt::format("looking for gaps in partition {} of {}", i + 1, logs_.size());
      });
      const auto segments = TRY(log::Segments::open(files_, dir_->log(i), codec, {}));
      const auto standing = TRY(state::read_standing(PartitionId(i), *state));
      const auto checkpoint = TRY(stream::read_checkpoint(standing.current(), *state));
      log::GapFiller::Known known;
      known.sealed = segments->last();
      if (checkpoint) {
        known.applied = checkpoint->applied;
        known.applied_ms = checkpoint->horizon.log_time();
      }
      newest_ = std::max({newest_, known.applied_ms, logs_[i].newest_append_ms()});
      TRY(fill(PartitionId(i), known));
    }
    return {};
  }

  Status fill(PartitionId partition, const log::GapFiller::Known& known) {
    const auto fillers =
        logs_[partition.value()].fill(known, static_cast<uint8_t>(click::EntryKind::noop));
    for (size_t i = 0; i < fillers.size(); ++i) {
      const Offset first = fillers[i].first;
      for (; i + 1 < fillers.size() && fillers[i + 1].first == fillers[i].last() + 1; ++i) {
        TRY(put(partition, fillers[i]));
      }
      TRY(put(partition, fillers[i]));
      tell(partition, first, fillers[i].last(), known.applied);
    }
    return {};
  }

  void tell(PartitionId partition, Offset first, Offset last, Offset applied) {
    std::string_view counted = "only a part of them had been counted in the last checkpoint";
    if (last <= applied) counted = "they had been counted, and stay so";
    if (first > applied) counted = "they had not been counted in the last checkpoint";
    say(fmt::format("partition {}: log entries of offsets {} to {} are gone; {}", partition.value(),
                    first.value(), last.value(), counted));
  }

  Status put(PartitionId partition, const log::Entry& filler) {
    log::Append record;
    // As a copy it fills only a place that is empty.
    record.kind = log::RecordKind::copied_entry;
    record.partition = partition;
    log::encode_entry(filler, record.payload);
    return append(std::move(record));
  }

  /// A click's own record may have outlived its log entry. A copy older than
  /// dedup remembers would be flagged as stale, so it is left out.
  Status resend() {
    const ArrivalMs from(newest_.value() - int64_t{config_.stream.dedup_hours} * kHourMs);
    size_t sent = 0;
    for (Click& click : clicks_) {
      if (click.received < from) continue;
      log::Append record;
      record.lane = log::Lane::redirects;
      record.kind = log::RecordKind::click;
      record.partition = click.partition;
      record.payload = std::move(click.record);
      TRY(append(std::move(record)));
      ++sent;
      progress_.at([&] { return fmt::format("{} clicks forwarded once more", sent); });
    }
    say(fmt::format(
        "{} clicks whose own records are whole are forwarded once more; those that were "
        "counted are recognised",
        sent));
    return {};
  }

  Status append(log::Append&& record) {
    while (true) {
      // On an error the record stays as it is.
      auto done = journal_->append(std::move(record));
      if (done || done.error().code() != Errc::busy) return done;
      TRY(write());
    }
  }

  Status write() {
    while (journal_->health() == log::Journal::Health::ok && journal_->pump()) {
    }
    if (journal_->health() == log::Journal::Health::no_room) {
      return Error(Errc::no_space, "no room for the journal's next file", dir_->journal());
    }
    if (journal_->health() != log::Journal::Health::ok) {
      return Error(Errc::io, "the journal can't be written", dir_->journal());
    }
    return {};
  }

  void say(std::string line) {
    out_.found_damage = true;
    out_.report.push_back(std::move(line));
  }

  const engine::Config& config_;
  FileSystem& files_;
  Clock& clock_;
  Progress progress_;
  NodeClock node_clock_{clock_};
  std::unique_ptr<engine::DataDir> dir_;
  std::vector<log::GapFiller> logs_;
  struct Click {
    PartitionId partition;
    ArrivalMs received;
    std::string record;
  };
  std::deque<Click> clicks_;
  ArrivalMs newest_click_;
  LogMs newest_;
  std::unique_ptr<log::Journal> journal_;
  ForcedRecovery out_;
};

}  // namespace

Result<ForcedRecovery> recover_by_force(const engine::Config& config, FileSystem& files,
                                        Clock& clock, const Print& tell) {
  return Recovery(config, files, clock, tell).run();
}

}  // namespace clickmill::tools
