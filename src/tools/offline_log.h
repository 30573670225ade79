#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/overlay_file_system.h"
#include "engine/data_dir.h"
#include "log/partition_log.h"
#include "tools/progress.h"

namespace clickmill::tools {

/// The log of a node that doesn't run: sealed segments and, behind them, what the
/// journal still holds. Recovers it as the node would, and changes nothing on disk.
/// Holds the data directory's lock, so that no node starts meanwhile.
/// Thread: one.
class OfflineLog {
 public:
  /// Errc::busy: a node runs; Errc::not_found: `directory` is no data directory.
  /// Damage is no error here: see damage(). `progress` is borrowed and outlives it.
  static Result<std::unique_ptr<OfflineLog>> open(FileSystem& files, const std::string& directory,
                                                  Progress& progress);

  const engine::NodeFile& node() const { return dir_->node(); }
  uint32_t partitions() const { return dir_->node().partitions; }
  /// Null when the manifest can't be read.
  const log::Segments* segments(uint32_t partition) const { return segments_[partition].get(); }
  /// Entries behind the sealed ones. In a cluster the last of them may not be committed.
  std::vector<log::Entry> unsealed(uint32_t partition) const;
  /// Reads every byte of the partition's segments, which are there.
  log::Segments::VerifyReport verify(uint32_t partition) const;
  /// What was found wrong while opening: one line each, with file and byte.
  const std::vector<std::string>& damage() const { return damage_; }
  uint64_t journal_records() const { return journal_records_; }

 private:
  OfflineLog(FileSystem& files, Progress& progress) : files_(files), progress_(progress) {}
  void open_segments();
  void read_journal();
  Status take(JournalPos position, const log::RecordView& record);

  OverlayFileSystem files_;
  Progress& progress_;
  std::unique_ptr<engine::DataDir> dir_;
  std::vector<std::unique_ptr<log::Segments>> segments_;
  std::vector<log::RecoveredLog> recovered_;
  std::vector<std::string> damage_;
  uint64_t journal_records_ = 0;
};

}  // namespace clickmill::tools
