#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/strong.h"
#include "store/part.h"
#include "store/retention.h"
#include "store/version.h"

namespace clickmill::stream {

/// The parts of one partition: written from closed head rows, merged as they
/// grow in number, and named in the checkpoint. Files that a merge replaced are
/// unlinked once the checkpoint that no longer names them is durable.
/// Thread: worker; snapshots any.
class Parts {
 public:
  using Snapshot = std::shared_ptr<const std::array<store::PartList, store::kTables>>;

  /// Parts of one table that are to become one. Thread: run by any one thread.
  class Merge {
   public:
    /// Writes and syncs the merged part, file and folder. Cost: reads and writes
    /// every row; up to seconds.
    Status run();

    /// Set where it only leaves rows out: of that table, those before that time.
    bool deletes() const { return oldest_ms_ != store::kAlways; }
    store::Table table() const { return table_; }
    int64_t oldest_ms() const { return oldest_ms_; }

   private:
    friend class Parts;
    FileSystem* disk_ = nullptr;
    std::string directory_;
    std::string name_;
    store::Table table_ = store::Table::minute;
    store::PartList chosen_;
    int64_t oldest_ms_ = store::kAlways;
    bool done_ = false;
    uint64_t deleted_ = 0;                       // rows
    std::shared_ptr<const store::Part> merged_;  // null: no row is left
  };

  Parts(PartitionId partition, FileSystem& files, std::string directory);

  Status open(const std::vector<store::PartMeta>& metas, uint64_t next_part);
  /// Writes one minute part from the rows (sorted, distinct) and hour and day
  /// parts from the same rows, and syncs files and folder. On an error nothing
  /// has changed.
  Status flush(const std::vector<store::Row>& minute_rows);
  /// Makes `minute_rows` (sorted, distinct) the only ones of their keys, those without
  /// any click or visitor none at all, and lets the hours and days they lie in follow
  /// from the minutes again. Syncs files and folder; on an error nothing has changed.
  /// Cost: rewrites every part that holds one of those keys.
  Status replace(const std::vector<store::Row>& minute_rows);
  /// A merge that is worth doing now; nullptr: none. One at a time: the next is
  /// asked for after take_merge(). Rows before `oldest_ms` are to go: first, a part at a time.
  std::shared_ptr<Merge> due_merge(const store::TableTimes& oldest_ms = store::kAllTime);
  /// Takes in what a successful run() has written, unless its parts have been replaced meanwhile.
  /// Gives how many rows were deleted.
  uint64_t take_merge(const Merge& merge);
  Snapshot snapshot() const { return current_; }
  std::vector<store::PartMeta> metas() const;
  uint64_t next_part() const { return next_part_; }
  /// The checkpoint that names metas() is durable.
  void checkpoint_committed();

 private:
  std::shared_ptr<Merge> begin_merge(store::Table table, store::PartList chosen);
  std::shared_ptr<Merge> due_deletion();
  std::string next_name(store::Table table);
  using Lists = std::array<store::PartList, store::kTables>;
  Status add(Lists& lists, store::Table table, const std::vector<store::Row>& rows);
  Status replace_in(Lists& lists, store::Table table, const std::vector<store::Row>& rows,
                    std::vector<std::string>& replaced);

  const PartitionId partition_;
  FileSystem& disk_;
  const std::string directory_;
  Snapshot current_;
  uint64_t next_part_ = 1;
  bool changed_ = true;  // since due_merge() last found nothing
  store::TableTimes oldest_ms_ = store::kAllTime;
  std::vector<std::string> replaced_;  // names to unlink after the next durable checkpoint
};

/// The rows of the key's ad in a bucket of that length, with all columns. Borrows the key's texts.
store::Scan scan_of(const store::Row& key, int64_t length_ms);
/// What those of `parts`, and `more`, come to under the key.
Result<store::Row> sum_of(const store::PartList& parts, const store::Row& key, int64_t length_ms,
                          const std::vector<store::Row>& more = {});
/// Rows, sorted by key, summed into the buckets of a longer table.
std::vector<store::Row> roll_up(const std::vector<store::Row>& rows, store::Table table);

}  // namespace clickmill::stream
