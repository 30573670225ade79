#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file_system.h"
#include "base/strong.h"
#include "state/slot.h"
#include "store/part.h"
#include "store/retention.h"
#include "store/shelf.h"
#include "store/version.h"
#include "stream/head.h"

namespace clickmill::stream {

/// The parts of one partition: written from closed head rows, merged as they
/// grow in number, and named in the checkpoint. Files that a merge replaced are
/// unlinked once the checkpoint that no longer names them is durable; one that
/// other partitions' parts stand in too is released then.
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

  /// Closed rows that are to become a part of each table. Thread: run by any one thread.
  class Flush {
   public:
    /// Writes and syncs the parts, files of their own and folder, unless they are written. An
    /// error leaves no file.
    Status run();
    /// Writes them into a file with others instead, which the caller ends and syncs, holds for
    /// its slot and lets open() then; or says that nothing came of it.
    Status write_to(store::ShelfWriter& file);
    Status open(store::Shelf& shelf);
    void write_again();
    bool written() const { return !parts_.empty(); }
    const std::string& directory() const { return directory_; }
    /// How many of the head's frozen rows, from the first on, it takes.
    size_t frozen() const { return frozen_.size(); }
    /// Of what run() has written.
    const std::vector<store::PartMeta>& metas() const { return metas_; }

   private:
    friend class Parts;
    using Put = std::function<Status(store::Table, std::span<const store::RowView>)>;
    Status each_table(const Put& put) const;
    FileSystem* disk_ = nullptr;
    std::string directory_;
    state::Slot slot_{PartitionId(0)};
    std::array<std::string, store::kTables> names_;
    Head::Frozen frozen_;
    std::vector<store::PartMeta> metas_;
    std::vector<std::shared_ptr<const store::Part>> parts_;
  };

  /// Minute rows that are to stand instead of what the parts have. Thread: any one.
  class Rewrite {
   public:
    /// Writes what more rows were to be flushed first, which stored_row() wants.
    Status open();
    /// What is stored under the key in the minutes, all in all.
    Result<store::Row> stored_row(const store::Row& key) const;
    /// Makes `minute_rows` (sorted, distinct) the only ones of their keys, those without
    /// any click or visitor none at all, and lets the hours and days they lie in follow
    /// from the minutes again. Syncs files and folder; an error leaves no file. Once at most.
    /// Cost: rewrites every part that holds one of those keys; up to minutes.
    Status run(const std::vector<store::Row>& minute_rows);

   private:
    friend class Parts;
    Status write(std::vector<store::Row> rows);
    Status add(store::Table table, const std::vector<store::Row>& rows);
    Status replace_in(store::Table table, const std::vector<store::Row>& rows);
    FileSystem* disk_ = nullptr;
    std::string directory_;
    state::Slot slot_{PartitionId(0)};
    std::shared_ptr<std::atomic<uint64_t>> next_part_;
    std::shared_ptr<Flush> flush_;
    std::array<store::PartList, store::kTables> lists_;
    store::PartList removed_;
    store::PartList added_;
  };

  /// `shelf`: where files are that partitions share; borrowed, null: no part is on one.
  Parts(state::Slot slot, FileSystem& files, std::string directory, store::Shelf* shelf = nullptr);

  /// With `keep_damaged` a part that can't be opened answers its damage where it is asked;
  /// else that is the error.
  Status open(const std::vector<store::PartMeta>& metas, uint64_t next_part,
              bool keep_damaged = false);
  /// Begins to make a minute part of the rows, and hour and day parts of the same.
  std::shared_ptr<Flush> begin_flush(Head::Frozen frozen);
  /// Another one is begun instead. No run() is under way, and it may have written its parts.
  void forget_flush(const Flush& flush);
  /// Takes in what a successful run() has written.
  void take_flush(const Flush& flush);
  /// Begins to rewrite what stands here and what `flush`, if any, makes of more rows.
  std::shared_ptr<Rewrite> begin_rewrite(std::shared_ptr<Flush> flush);
  /// Takes in what successful runs have written, the flush's too. False when parts that
  /// it rewrote have gone meanwhile: nothing has changed then.
  bool take_rewrite(const Rewrite& rewrite);
  /// A merge that is worth doing now; nullptr: none. One at a time: the next is
  /// asked for after take_merge() or merge_failed(). Rows before `oldest_ms` are to go: first, a
  /// part at a time.
  std::shared_ptr<Merge> due_merge(const store::TableTimes& oldest_ms = store::kAllTime);
  /// Takes in what a successful run() has written, unless its parts have been replaced meanwhile.
  /// Gives how many rows were deleted.
  uint64_t take_merge(const Merge& merge);
  /// run() gave an error. A part that this names as damaged is in no merge from now on;
  /// after any other the same one is due again.
  void merge_failed(const Merge& merge, const Error& error);
  /// Whether more are written than are merged.
  bool pile_up() const;
  using Lists = std::array<store::PartList, store::kTables>;
  /// Those that can be read, and that nothing is being done to.
  Lists free() const;
  /// Some of free() are read to be written once more, into files that partitions share: until
  /// `shelved` is let go of, nothing else is done to them. False: they are not free any more.
  bool begin_shelving(const std::shared_ptr<const store::PartList>& shelved);
  /// What was written of them takes their place, unless a repair has rewritten some of them
  /// meanwhile: false, and nothing has changed.
  bool take_shelved(const store::PartList& shelved, const store::PartList& written);
  /// They could not be read: what this names as damaged stays where it is from now on.
  void shelving_failed(const store::PartList& shelved, const Error& error);
  /// Parts of all tables by size class, the last of which is never merged.
  static constexpr size_t kLevels = 4;
  std::array<size_t, kLevels> levels() const;
  Snapshot snapshot() const { return current_; }
  std::vector<store::PartMeta> metas() const;
  uint64_t next_part() const { return *next_part_; }
  /// Files that nothing needs once a checkpoint that names metas() is durable. They are
  /// told once: whoever can't unlink them gives them back.
  std::vector<std::string> take_replaced() { return std::exchange(replaced_, {}); }
  void give_back_replaced(const std::vector<std::string>& paths);

 private:
  std::shared_ptr<Merge> begin_merge(store::Table table, store::PartList chosen);
  std::shared_ptr<Merge> due_deletion();
  std::string next_name(store::Table table);
  store::PartList choose(const store::PartList& parts, size_t level) const;
  Result<std::shared_ptr<const store::Part>> open_part(const store::PartMeta& meta) const;
  bool is_damaged(const store::PartMeta& meta) const;
  void note_damage(const store::PartList& parts, const Error& error);
  bool is_busy(const std::shared_ptr<const store::Part>& part) const;
  void drop_files(const Lists& left, const store::PartList& removed);
  static bool holds(const Lists& lists, const std::shared_ptr<const store::Part>& part);

  const state::Slot slot_;
  FileSystem& disk_;
  const std::string directory_;
  store::Shelf* const shelf_;
  Snapshot current_;
  // A rewrite takes numbers on its own thread.
  const std::shared_ptr<std::atomic<uint64_t>> next_part_ =
      std::make_shared<std::atomic<uint64_t>>(1);
  store::TableTimes oldest_ms_ = store::kAllTime;
  bool changed_ = true;                // since due_merge() last found nothing
  std::vector<std::string> replaced_;  // paths to unlink after the next durable checkpoint
  // Parts that no merge could read: file, and first byte in it.
  std::set<std::pair<std::string, uint64_t>> damaged_;
  std::weak_ptr<const Merge> merging_;  // while it is under way, as is:
  std::weak_ptr<const store::PartList> shelving_;
};

/// What the file of a part is called that no other part stands in.
std::string part_name_of(state::Slot slot, uint64_t number, store::Table table);
/// The slot that a part file was written for; empty for a file that is no part.
std::optional<state::Slot> slot_of_part(std::string_view name);
/// What that file is called when it is another slot's.
std::string part_name_in(state::Slot slot, std::string_view name);
/// The rows of the key's ad in a bucket of that length, with all columns. Borrows the key's texts.
store::Scan scan_of(const store::Row& key, int64_t length_ms);
/// What those of `parts`, and `more`, come to under the key.
Result<store::Row> sum_of(const store::PartList& parts, const store::Row& key, int64_t length_ms,
                          const std::vector<store::Row>& more = {});

}  // namespace clickmill::stream
