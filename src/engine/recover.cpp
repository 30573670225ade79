#include "engine/recover.h"

#include <fmt/format.h>

#include "click/batch.h"
#include "collector/spool_records.h"
#include "engine/data_dir.h"
#include "log/gap_filler.h"
#include "log/journal.h"
#include "log/journal_salvage.h"
#include "log/partition_log.h"
#include "log/segments.h"
#include "stream/checkpoint.h"
#include "stream/state_store.h"

namespace clickmill::engine {
namespace {

constexpr uint64_t kStateCacheBytes = 16 << 20;

struct Click {
  PartitionId partition;
  std::string record;
};

class Recovery {
 public:
  Recovery(const Config& config, FileSystem& files, Clock& clock)
      : config_(config), files_(files), clock_(clock), logs_(config.log.partitions) {}

  Result<ForcedRecovery> run() {
    if (!files_.exists(config_.data_dir + "/node")) {
      return Error(Errc::not_found, "no clickmill data directory", config_.data_dir);
    }
    dir_ = TRY(DataDir::open(files_, config_.data_dir, config_.node_id, config_.log.partitions));
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
    const auto salvaged =
        TRY(log::salvage_journal(files_, dir_->journal(), log::Journal::Options{}.unsynced_bytes));
    for (const auto& damage : salvaged.damage) {
      say(fmt::format("{}: bytes {} to {}: {}", damage.path, damage.from_byte, damage.to_byte,
                      damage.what));
    }
    for (const std::string& path : salvaged.kept_aside) say("the original is kept as " + path);
    return {};
  }

  Status open_journal() {
    const auto replay = [this](JournalPos, const log::RecordView& record) -> Status {
      if (record.kind == log::RecordKind::trim) return {};
      if (collector::RecoveredSpool::is_of_spool(record.kind)) return keep(record);
      if (record.partition.value() >= logs_.size())
        return Error(Errc::corrupt, "record of an unknown partition");
      return logs_[record.partition.value()].replay(record);
    };
    journal_ = TRY(log::Journal::open(files_, dir_->journal(), node_clock_, {}, replay));
    return {};
  }

  Status fill_gaps() {
    const click::ColumnCodec codec;
    TRY(files_.create_directories(dir_->state()));
    const auto state = TRY(stream::open_rocks_state_store(dir_->state(), kStateCacheBytes));
    for (uint32_t i = 0; i < logs_.size(); ++i) {
      const auto segments = TRY(log::Segments::open(files_, dir_->log(i), codec, {}));
      const auto checkpoint = TRY(stream::read_checkpoint(PartitionId(i), *state));
      log::GapFiller::Known known;
      known.sealed = segments->last();
      if (checkpoint) {
        known.applied = checkpoint->applied;
        known.applied_ms = checkpoint->horizon.log_time();
        dedup_hours_ = std::max(dedup_hours_, int64_t{checkpoint->settings.dedup_hours});
      }
      newest_ = std::max({newest_, known.applied_ms, logs_[i].newest_append_ms()});
      for (const log::Entry& filler :
           logs_[i].fill(known, static_cast<uint8_t>(click::EntryKind::noop))) {
        TRY(put(PartitionId(i), filler, known.applied));
      }
    }
    return {};
  }

  Status put(PartitionId partition, const log::Entry& filler, Offset applied) {
    say(fmt::format("partition {}: log entries of offsets {} to {} are gone; {}", partition.value(),
                    filler.first.value(), filler.last().value(),
                    filler.last() <= applied
                        ? "they had been counted, and stay so"
                        : "they had not all been counted in the last checkpoint"));
    log::Append record;
    // As a copy it fills only a place that is empty.
    record.kind = log::RecordKind::copied_entry;
    record.partition = partition;
    log::encode_entry(filler, record.payload);
    return journal_->append(std::move(record));
  }

  Status keep(const log::RecordView& record) {
    return collector::for_each_click(record, [&](std::string_view click) {
      clicks_.push_back({record.partition, std::string(click)});
    });
  }

  /// Spools the clicks anew, committed or not. A copy older than dedup remembers
  /// would be flagged as stale, so only younger ones are sent again.
  Status resend() {
    const ArrivalMs from(newest_.value() - dedup_hours_ * kHourMs);
    size_t resent = 0;
    for (Click& click : clicks_) {
      if (collector::received_of(click.record) < from) continue;
      log::Append record;
      record.kind = log::RecordKind::click;
      record.partition = click.partition;
      record.payload = std::move(click.record);
      // Far fewer than fit the journal's queue.
      if (++resent % 1024 == 0) TRY(write());
      TRY(journal_->append(std::move(record)));
    }
    say(fmt::format(
        "{} clicks whose own records are whole are forwarded once more; those that were "
        "counted are recognised",
        resent));
    return {};
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

  const Config& config_;
  FileSystem& files_;
  Clock& clock_;
  NodeClock node_clock_{clock_};
  std::unique_ptr<DataDir> dir_;
  std::vector<log::GapFiller> logs_;
  std::vector<Click> clicks_;  // in the order of the journal, trimmed ones included
  LogMs newest_;
  int64_t dedup_hours_ = 0;
  std::unique_ptr<log::Journal> journal_;
  ForcedRecovery out_;
};

}  // namespace

Result<ForcedRecovery> recover_by_force(const Config& config, FileSystem& files, Clock& clock) {
  return Recovery(config, files, clock).run();
}

}  // namespace clickmill::engine
