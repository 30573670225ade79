#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "state/slot.h"
#include "store/part.h"
#include "store/shelf_file.h"

namespace clickmill::store {

/// The files of a node that parts of several partitions share, and who needs which.
///
/// A part of such a file is a partition's as any other: its checkpoint names it, and says alone
/// whether it counts. The file goes when no durable checkpoint of any slot names a part in it
/// any more. Who needs it is known from those checkpoints at the start (hold()), from who makes
/// a file (hold(), before anybody's checkpoint can name it), and from commits (release(), after
/// them). Where a checkpoint can't be read, nothing that was there at the start is removed until
/// the next one.
/// Thread: any.
class Shelf {
 public:
  /// `files` is borrowed and outlives it.
  Shelf(FileSystem& files, std::string directory);
  static bool is_shared(std::string_view name) { return ShelfName::parse(name).has_value(); }
  /// Whether the parts in it wait for no merge of their partition any more.
  static bool is_shelved(std::string_view name) { return ShelfName::shelved(name); }

  /// Of a file that may be open already: all parts in it read by one handle.
  Result<std::shared_ptr<const Part>> open(const PartMeta& meta);
  /// No other file has it, nor had since the start.
  uint64_t next_number();

  /// The slot needs those that are shared; what it held before it holds still.
  void hold(state::Slot slot, const std::vector<PartMeta>& metas);
  /// The slot needs no part of that file any more: the last one's removes it. An error costs
  /// space until the next start.
  Status release(state::Slot slot, const std::string& name);
  /// The same for all that it needs.
  void release_all(state::Slot slot);
  /// Somebody needs files that are there, and it isn't known which: until the next start none of
  /// them goes; those that are made from now on do.
  void keep_all();
  /// A file of `names` that nobody needs.
  std::vector<std::string> unneeded(const std::vector<std::string>& names) const;

  /// Whose bytes stand there; none: nobody's.
  std::optional<state::Slot> owner_of(std::string_view name, uint64_t position) const;
  /// How many there are on the shelf; those that checkpoints have flushed together aren't yet.
  size_t files() const;

 private:
  struct Place {
    uint64_t bytes;
    state::Slot slot;
  };
  struct Shared {
    std::weak_ptr<File> open;
    std::map<uint64_t, Place> places;  ///< needed, by their first byte
  };
  Status remove(const std::string& name);
  bool may_be_needed(std::string_view name) const;

  FileSystem& disk_;
  const std::string directory_;
  mutable std::mutex mutex_;  // guards all below; innermost but for the disk
  std::map<std::string, Shared, std::less<>> shared_;
  uint64_t next_number_ = 1;
  bool keeps_all_ = false;
  uint64_t first_of_run_ = 0;  ///< made since keep_all()
};

}  // namespace clickmill::store
