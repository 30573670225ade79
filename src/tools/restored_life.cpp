#include "tools/restored_life.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "base/node_clock.h"
#include "click/batch.h"
#include "collector/spool_records.h"
#include "engine/cluster_file.h"
#include "engine/data_dir.h"
#include "log/journal.h"
#include "log/partition_log.h"
#include "log/segments.h"
#include "raft/codec.h"

namespace clickmill::tools {
namespace {

// More offsets than a partition can give away: so many for each second since the backup was
// made, on the whole, and beside that any burst.
constexpr uint64_t kOffsetsASecond = 1 << 16;
constexpr uint64_t kOffsetsBeside = uint64_t{1} << 32;
constexpr uint32_t kOffsetsOfOne = UINT32_MAX;

/// Where a partition's log ends.
struct End {
  Offset last;
  Term term;
  LogMs append_ms;
};

class Beginning {
 public:
  Beginning(const std::string& data_dir, const BackupManifest& manifest, FileSystem& files,
            const Clock& clock, Progress& progress)
      : paths_{data_dir},
        manifest_(manifest),
        files_(files),
        clock_(clock),
        progress_(progress),
        of_cluster_(!manifest.cluster_id.empty()) {}

  Status run() {
    TRY(open_logs());
    TRY(open_journal());
    if (of_cluster_) {
      const auto file = TRY(engine::ClusterFile::open_or_make(files_, paths_.root));
      founder_ = {manifest_.node_id, file->storage_id()};
    }
    for (uint32_t i = 0; i < logs_.size(); ++i) {
      progress_.at([&] { return fmt::format("partition {} of {}", i + 1, logs_.size()); });
      End end = end_of(i);
      // The ads' log gives nobody offsets.
      if (i < manifest_.partitions) TRY(leave_out(i, end));
      if (of_cluster_) TRY(vote_alone(i, end));
    }
    TRY(write());
    journal_->stop();
    return {};
  }

 private:
  /// Of the ads too, where the node was in a cluster.
  Status open_logs() {
    const uint32_t logs = manifest_.partitions + (of_cluster_ ? 1 : 0);
    for (uint32_t i = 0; i < logs; ++i) {
      const log::Codec& codec =
          i < manifest_.partitions ? static_cast<const log::Codec&>(clicks_) : ads_;
      segments_.push_back(TRY(log::Segments::open(files_, paths_.log(i), codec, {})));
      logs_.emplace_back(segments_.back()->last());
    }
    return {};
  }

  Status open_journal() {
    uint64_t records = 0;
    const auto replay = [&](JournalPos position, const log::RecordView& record) -> Status {
      ++records;
      progress_.at([&] { return fmt::format("journal: {} records read", records); });
      if (collector::RecoveredSpool::is_of_spool(record.kind)) return {};
      if (record.partition.value() >= logs_.size())
        return Error(Errc::corrupt, "record of an unknown partition");
      return logs_[record.partition.value()].replay(position, record);
    };
    journal_ = TRY(log::Journal::open(files_, paths_.journal(), node_clock_, {}, replay));
    return {};
  }

  End end_of(uint32_t i) const {
    const log::Segments& segments = *segments_[i];
    End end{segments.last(), segments.last_term(), segments.last_append_ms()};
    if (const auto unsealed = logs_[i].entries_after(segments.last()); !unsealed.empty()) {
      const log::Entry& newest = unsealed.back();
      end = {newest.last(), newest.term, newest.append_ms};
    }
    end.term = std::max(end.term, Term(1));
    return end;
  }

  /// Lets the log go on behind all that the lost life may have named.
  Status leave_out(uint32_t i, End& end) {
    const int64_t ms = std::max<int64_t>(clock_.wall_ms() - manifest_.made_ms, 0);
    uint64_t left = kOffsetsBeside + static_cast<uint64_t>(ms) / 1000 * kOffsetsASecond;
    while (left > 0) {
      const auto count = static_cast<uint32_t>(std::min<uint64_t>(left, kOffsetsOfOne));
      TRY(append(i, end, raft::kNoOpKind, count, {}));
      left -= count;
    }
    return {};
  }

  /// A change of members counts from the moment that it is appended.
  Status vote_alone(uint32_t i, End& end) {
    std::string payload;
    raft::encode_membership({{founder_}, {}, {}}, payload);
    return append(i, end, raft::kMembershipKind, 1, std::move(payload));
  }

  Status append(uint32_t i, End& end, uint8_t kind, uint32_t count, std::string payload) {
    log::Entry entry;
    entry.first = end.last + 1;
    entry.count = count;
    entry.kind = kind;
    entry.term = end.term;
    entry.append_ms = end.append_ms;
    entry.payload = std::move(payload);
    end.last = entry.last();
    log::Append record;
    record.partition = PartitionId(i);
    log::encode_entry(entry, record.payload);
    while (true) {
      // On an error the record stays as it is.
      auto done = journal_->append(std::move(record));
      if (done || done.error().code() != Errc::busy) return done;
      TRY(write());
    }
  }

  Status write() {
    using Health = log::Journal::Health;
    while (journal_->health() == Health::ok && journal_->pump()) {
    }
    if (journal_->health() == Health::ok) return {};
    const Errc code = journal_->health() == Health::no_room ? Errc::no_space : Errc::io;
    return Error(code, "the journal can't be written", paths_.journal());
  }

  const engine::DataPaths paths_;
  const BackupManifest& manifest_;
  FileSystem& files_;
  const Clock& clock_;
  Progress& progress_;
  const bool of_cluster_;
  NodeClock node_clock_{clock_};
  const click::ColumnCodec clicks_;
  const log::RowCodec ads_;
  std::vector<std::unique_ptr<log::Segments>> segments_;
  std::vector<log::RecoveredLog> logs_;
  std::unique_ptr<log::Journal> journal_;
  raft::Member founder_;
};

}  // namespace

bool begins_a_life(const std::string& path) {
  return path != "cluster" && !path.starts_with("members/");
}

Status begin_life(const std::string& data_dir, const BackupManifest& manifest, FileSystem& files,
                  const Clock& clock, Progress& progress) {
  return Beginning(data_dir, manifest, files, clock, progress).run();
}

Status stay_member(const std::string& data_dir, FileSystem& files) {
  const auto file = TRY(engine::ClusterFile::open_or_make(files, data_dir));
  return file->renew_storage_id(kRestoredFromBackup);
}

}  // namespace clickmill::tools
