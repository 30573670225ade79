#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "log/journal_format.h"

namespace clickmill::log {

/// Reads single groups of a journal that is in use, so that what waits long in
/// the spool need not wait in memory.
///
/// Only for groups that are durable and whose file is not released. Keeps one
/// file open and one group in memory. Thread: one at a time.
class GroupReader {
 public:
  /// `files` is borrowed and outlives it.
  GroupReader(FileSystem& files, std::string directory, uint64_t journal_id, uint64_t file_bytes);

  /// The records of the group at `position`; views live until the next call.
  /// Errc::corrupt names file and byte of a group that is not whole.
  Result<std::vector<RecordView>> read(JournalPos position);

 private:
  Status open(uint64_t number);

  FileSystem& files_;
  const std::string directory_;
  const uint64_t journal_id_;
  const uint64_t file_bytes_;
  std::unique_ptr<File> file_;
  uint64_t number_ = 0;  ///< of file_
  std::string group_;
};

}  // namespace clickmill::log
