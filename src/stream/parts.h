#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/strong.h"
#include "store/part.h"
#include "store/version.h"

namespace clickmill::stream {

/// The parts of one partition: written from closed head rows, merged as they
/// grow in number, and named in the checkpoint. Files that a merge replaced are
/// unlinked once the checkpoint that no longer names them is durable.
/// Thread: worker; snapshots any.
class Parts {
 public:
  using Snapshot = std::shared_ptr<const std::array<store::PartList, store::kTables>>;
  Parts(PartitionId partition, FileSystem& files, std::string directory);

  Status open(const std::vector<store::PartMeta>& metas, uint64_t next_part);
  /// Writes one minute part from the rows (sorted, distinct) and hour and day
  /// parts from the same rows, merges where too many small ones stand, and
  /// syncs files and folder. On an error nothing has changed.
  Status flush(const std::vector<store::Row>& minute_rows);
  Snapshot snapshot() const { return current_; }
  std::vector<store::PartMeta> metas() const;
  uint64_t next_part() const { return next_part_; }
  /// The checkpoint that names metas() is durable.
  void checkpoint_committed();

 private:
  Status add(std::array<store::PartList, store::kTables>& lists, store::Table table,
             const std::vector<store::Row>& rows);
  Status merge_small(std::array<store::PartList, store::kTables>& lists, store::Table table);

  const PartitionId partition_;
  FileSystem& disk_;
  const std::string directory_;
  Snapshot current_;
  uint64_t next_part_ = 1;
  std::vector<std::string> replaced_;  // names to unlink after the next durable checkpoint
};

/// Minute rows summed into the buckets of a longer table; sorted by key.
std::vector<store::Row> roll_up(const std::vector<store::Row>& rows, store::Table table);

}  // namespace clickmill::stream
