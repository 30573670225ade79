#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "base/result.h"
#include "state/slot.h"
#include "store/part_meta.h"
#include "store/part_writer.h"

namespace clickmill::store {

/// What the name of a file says that parts of all partitions share: the rows of one table, of a
/// period that is over (`closed`), or of one that may not be, merged `level` times.
struct ShelfName {
  /// The level of what checkpoints have flushed together, rows of all tables: not shelved yet.
  /// It goes as a level does, so that a binary that knows no such files reads and removes them.
  static constexpr uint32_t kFlushed = 99;
  uint64_t number = 0;
  Table table = Table::minute;
  int64_t period_ms = 0;  ///< begin of the period's first day, ms since 1970
  bool closed = false;
  uint32_t level = 0;  ///< below kFlushed
  std::string text() const;
  static std::optional<ShelfName> parse(std::string_view text);
  /// Of a text that parse() takes: whether the file is one of a shelf. Cheap.
  static bool shelved(std::string_view text);
  friend bool operator==(const ShelfName&, const ShelfName&) = default;
};

/// A shared file in the making, part by part. Format: top of shelf_file.cpp. Thread: one.
class ShelfWriter {
 public:
  /// An old file of that name is replaced: it can only be left over from a crash. It is synced
  /// once in so many bytes, or a journal's sync would have to wait for all of it.
  static Result<std::unique_ptr<ShelfWriter>> create(FileSystem& files,
                                                     const std::string& directory,
                                                     const std::string& name,
                                                     uint64_t sync_every = 4 << 20);
  Result<PartMeta> add(state::Slot slot, const PartWriter& part);
  /// How many there are; what was added behind so many can be taken back.
  size_t size() const { return entries_.size(); }
  void cut_to(size_t parts);
  /// Writes the rest and syncs the file, not the directory. Errc::io where an earlier sync
  /// failed: the kernel tells of that once, and forgets what it could not write.
  Status finish();
  uint64_t bytes() const { return position_; }
  const std::string& name() const { return name_; }

 private:
  ShelfWriter(std::unique_ptr<File> file, std::string name, uint64_t sync_every)
      : file_(std::move(file)), name_(std::move(name)), sync_every_(sync_every) {}
  Status written(uint64_t bytes);

  struct Entry {
    state::Slot slot;
    PartMeta meta;
  };
  const std::unique_ptr<File> file_;
  const std::string name_;
  const uint64_t sync_every_;
  std::vector<Entry> entries_;
  uint64_t position_ = 0;
  uint64_t unsynced_ = 0;
  bool lost_ = false;  // a sync has failed
};

/// A part in a shared file, as the file itself lists it.
struct ShelfEntry {
  state::Slot slot;
  PartMeta meta;
};
/// Checks all that stands around the parts, and each one's ends. Errc::corrupt names file and byte.
Result<std::vector<ShelfEntry>> read_shelf(FileSystem& files, const std::string& directory,
                                           const std::string& name);

}  // namespace clickmill::store
