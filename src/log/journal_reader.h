#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/file_system.h"
#include "log/journal_format.h"

namespace clickmill::log {

/// Name of a journal file, and back: 0 for a name that is not a journal file's.
std::string journal_file_name(uint64_t number);
uint64_t journal_file_number(std::string_view name);

/// One journal file, read group by group, every byte checked before it is given out.
class JournalFileReader {
 public:
  /// Opens the file and reads its header. Errc::corrupt with file and byte when
  /// that is damaged or is not the header of file `number`.
  static Result<JournalFileReader> open(FileSystem& files, const std::string& path,
                                        uint64_t number);
  /// With a header known from elsewhere, whatever the file says.
  static Result<JournalFileReader> open_as(FileSystem& files, const std::string& path,
                                           const FileHeader& header);

  const FileHeader& header() const { return header_; }
  uint64_t size() const { return size_; }
  File& file() { return *file_; }
  JournalPos begin() const { return JournalPos(header_.number * header_.file_bytes); }
  JournalPos first_group() const { return begin() + kJournalAlign; }
  /// End of the bytes that are there; the file may be cut off.
  JournalPos end() const { return begin() + std::min(size_, header_.file_bytes); }
  /// The whole group at `position`, or nothing when there is none.
  Result<std::optional<GroupHeader>> read(JournalPos position);
  /// Bytes of the group that was read last, padding included, and its records.
  std::string_view group() const { return group_; }
  std::string_view payload() const {
    return std::string_view(group_).substr(kGroupHeaderBytes, payload_bytes_);
  }
  /// What a group that can't be read seems to have held, for a person; may be wrong.
  std::string describe(JournalPos position);
  /// Errc::corrupt at a position in this file.
  Error damage(JournalPos position, std::string what) const;

 private:
  JournalFileReader(FileHeader header, std::unique_ptr<File> file, uint64_t size)
      : header_(header), file_(std::move(file)), size_(size) {}
  std::optional<GroupHeader> peek(JournalPos position) const;
  Status fetch(uint64_t at, uint64_t bytes);

  FileHeader header_;
  std::unique_ptr<File> file_;
  uint64_t size_ = 0;
  // The file as it was read last, from window_at_ on: a group has some 4 KiB, and a
  // call of the system for each would be most of a start's time.
  std::string window_;
  uint64_t window_at_ = 0;
  std::string group_;
  size_t payload_bytes_ = 0;
};

}  // namespace clickmill::log
