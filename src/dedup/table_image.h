#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/file_system.h"
#include "base/result.h"
#include "base/strong.h"
#include "dedup/id_table.h"
#include "state/slot.h"
#include "state/store.h"

namespace clickmill::dedup {

/// What an image's table holds at least: every id of the hours before `hour`,
/// and those of `hour` that checkpoints with a sequence below `sequence` wrote.
/// More does no harm: a match is only where to look.
struct ImageCover {
  int64_t hours_per_band = 1;
  LogHour hour;
  uint32_t sequence = 0;
  friend bool operator==(const ImageCover&, const ImageCover&) = default;
};

/// The state store's word for a partition's image. A file that doesn't match it
/// (torn, stale, another partition's, of other data) is not read.
struct ImageRecord {
  uint64_t number = 0;  ///< names the file
  uint64_t bytes = 0;
  uint64_t checksum = 0;
  ImageCover cover;
};
void put_image_record(state::Slot slot, const ImageRecord& record, state::Batch& batch);
void remove_image_record(state::Slot slot, state::Batch& batch);
/// What its key in the meta space has behind the slot.
inline constexpr std::string_view kImageRecordKey = "ids-image";
/// Empty when there is none, or none that can be read.
Result<std::optional<ImageRecord>> read_image_record(state::Slot slot, state::Store& store);

/// Of the file, in the images' folder.
std::string image_file_name(state::Slot slot, uint64_t number);

/// A table on its way to its file, a shard at a time.
/// The worker copies a shard when busy() says that the last one is written;
/// writing and syncing are the background's. Given up by destruction: the file
/// is removed then, unless the record was taken.
/// Thread: worker.
class ImageWriter {
 public:
  ~ImageWriter();
  ImageWriter(const ImageWriter&) = delete;
  ImageWriter& operator=(const ImageWriter&) = delete;

  const ImageCover& cover() const;
  bool busy() const;
  /// The next shard, or after the last one the sync. Not while busy().
  void step(const IdTable& table);
  /// Once everything is durable; then the file is the taker's.
  std::optional<ImageRecord> take();
  /// Why it can't be finished.
  std::optional<std::string> failure() const;

 private:
  friend class TableImages;
  struct Job;
  explicit ImageWriter(std::shared_ptr<Job> job) : job_(std::move(job)) {}
  std::shared_ptr<Job> job_;
  size_t next_shard_ = 0;
};

/// The images of a node's id tables, in a folder of their own, so that a restart
/// reads a few gigabytes in order and not every id of a day. They are a cache:
/// without one, the table is filled from the state store. Format: top of
/// table_image.cpp.
///
/// One image is written at a time, so that memory for copies stays a shard's.
/// Thread: any.
class TableImages {
 public:
  struct Options {
    std::string directory;  ///< must exist
    /// Runs a task on the background thread; false when it can't now. Empty: runs it at once.
    std::function<bool(std::function<void()>)> in_background;
    /// An image is due after so many new ids, and after this share of what the table holds.
    uint64_t due_ids_min = 65'536;
    uint64_t due_share = 12;
  };
  /// `files` is borrowed and outlives the background's tasks.
  TableImages(FileSystem& files, Options options);

  bool due(uint64_t new_ids, uint64_t table_used) const {
    return new_ids >= options_.due_ids_min && new_ids >= table_used / options_.due_share;
  }
  /// Null while another image is being written, or when the file can't be made.
  std::unique_ptr<ImageWriter> begin(state::Slot slot, uint64_t number, const ImageCover& cover);
  /// The table, checked against `record`; bands before `forgotten_before` need not
  /// be found. An error, whichever: do without.
  Result<IdTable> read(state::Slot slot, const ImageRecord& record, int64_t forgotten_before);
  /// Removes a file that no checkpoint names any more, in the background.
  void remove(state::Slot slot, uint64_t number);
  /// Removes the partition's other files: left by a crash. Not while one is being written.
  void keep_only(state::Slot slot, std::optional<uint64_t> number);

 private:
  bool run(std::function<void()> task) const;

  FileSystem& files_;
  const Options options_;
  std::shared_ptr<std::atomic<bool>> writing_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace clickmill::dedup
