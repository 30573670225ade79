#include "tools/offline_log.h"

#include <fmt/format.h>

#include "click/batch.h"
#include "collector/spool_records.h"
#include "log/journal.h"

namespace clickmill::tools {
namespace {

const click::ColumnCodec& click_codec() {
  static const click::ColumnCodec codec;
  return codec;
}

}  // namespace

Result<std::unique_ptr<OfflineLog>> OfflineLog::open(FileSystem& files,
                                                     const std::string& directory,
                                                     Progress& progress) {
  std::unique_ptr<OfflineLog> log(new OfflineLog(files, progress));
  log->dir_ = TRY(engine::DataDir::open_existing(log->files_, directory));
  log->open_segments();
  log->read_journal();
  return log;
}

void OfflineLog::open_segments() {
  for (uint32_t i = 0; i < partitions(); ++i) {
    progress_.at([&] { return fmt::format("opening partition {} of {}", i + 1, partitions()); });
    segments_.emplace_back();
    // A node that was killed during its first start has not made them all.
    if (!files_.exists(dir_->log(i) + "/manifest") && !files_.exists(dir_->log(i))) continue;
    auto opened = log::Segments::open(files_, dir_->log(i), click_codec(), {});
    if (opened) {
      segments_.back() = *std::move(opened);
    } else {
      damage_.push_back(opened.error().text());
    }
  }
}

void OfflineLog::read_journal() {
  // What is sealed is passed over, or all of the journal would be held in memory.
  for (const auto& segments : segments_)
    recovered_.emplace_back(segments ? segments->last() : Offset(0));
  if (!files_.exists(dir_->journal())) return;
  const auto read =
      log::recover_journal(files_, dir_->journal(), log::Journal::Options{}.unsynced_bytes,
                           [this](JournalPos position, const log::RecordView& record) {
                             return take(position, record);
                           });
  if (!read) damage_.push_back(read.error().text());
  for (uint32_t i = 0; i < partitions() && read; ++i) {
    if (!segments_[i]) continue;
    const Offset sealed = segments_[i]->last();
    Offset next = sealed + 1;
    for (const auto& entry : recovered_[i].entries_after(sealed)) {
      if (entry.first != next) {
        damage_.push_back(fmt::format("partition {}: the journal goes on at offset {}, expected {}",
                                      i, entry.first.value(), next.value()));
      }
      next = entry.last() + 1;
    }
  }
}

Status OfflineLog::take(JournalPos position, const log::RecordView& record) {
  ++journal_records_;
  progress_.at([&] { return fmt::format("journal: {} records read", journal_records_); });
  if (collector::RecoveredSpool::is_of_spool(record.kind)) return {};
  // The ads of a cluster are no clicks.
  if (record.partition.value() == recovered_.size()) return {};
  if (record.partition.value() > recovered_.size()) {
    return Error(Errc::corrupt,
                 fmt::format("journal position {}: a record of partition {}, there are {}",
                             position.value(), record.partition.value(), recovered_.size()));
  }
  return recovered_[record.partition.value()].replay(position, record);
}

log::Segments::VerifyReport OfflineLog::verify(uint32_t partition) const {
  uint64_t read = 0;
  return segments_[partition]->verify([&](uint64_t bytes) {
    read += bytes;
    progress_.at([&] {
      return fmt::format("partition {} of {}: {} of {} MiB read", partition + 1, partitions(),
                         read >> 20, segments_[partition]->bytes() >> 20);
    });
    return true;
  });
}

std::vector<log::Entry> OfflineLog::unsealed(uint32_t partition) const {
  if (!segments_[partition]) return recovered_[partition].entries_after(Offset(0));
  return recovered_[partition].entries_after(segments_[partition]->last());
}

}  // namespace clickmill::tools
