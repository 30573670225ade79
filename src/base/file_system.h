#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace clickmill {

/// An open file, read and written at positions.
/// Thread: any for reads at distinct handles; writes and sync by one thread at a time.
class File {
 public:
  virtual ~File() = default;
  /// Writes all bytes at `position`, growing the file; not durable before sync().
  virtual Status write_at(uint64_t position, std::string_view bytes) = 0;
  /// Reads up to `length` bytes into `out` (replaced); shorter only at the end of the file.
  virtual Status read_at(uint64_t position, size_t length, std::string& out) = 0;
  /// Makes what was written durable (fdatasync). After an error the bytes
  /// written since the last success may be lost, whatever a retry answers.
  virtual Status sync() = 0;
  virtual Result<uint64_t> size() = 0;
  virtual Status truncate(uint64_t length) = 0;
  const std::string& path() const { return path_; }

 protected:
  explicit File(std::string path) : path_(std::move(path)) {}

 private:
  std::string path_;
};

/// Held while a directory is in use; freed by destruction.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

/// The disk. An argument everywhere, so that tests can make it forget, tear and fail.
/// Thread: any.
class FileSystem {
 public:
  enum class Open : uint8_t {
    read,      ///< must exist
    write,     ///< must exist; reads too
    create,    ///< must not exist; reads too
    truncate,  ///< made or emptied; reads too
  };
  virtual ~FileSystem() = default;
  virtual Result<std::unique_ptr<File>> open(const std::string& path, Open mode) = 0;
  /// Replaces `to`. Durable only after sync_directory of its folder.
  virtual Status rename(const std::string& from, const std::string& to) = 0;
  virtual Status remove(const std::string& path) = 0;
  /// Names (not paths) of the files in a folder, sorted.
  virtual Result<std::vector<std::string>> list(const std::string& directory) = 0;
  /// Makes the folder and its parents.
  virtual Status create_directories(const std::string& directory) = 0;
  virtual Status sync_directory(const std::string& directory) = 0;
  virtual bool exists(const std::string& path) = 0;
  struct Space {
    uint64_t total_bytes;
    uint64_t free_bytes;
  };
  virtual Result<Space> space(const std::string& path) = 0;
  /// Errc::busy when another process (or another holder here) has it.
  virtual Result<std::unique_ptr<FileLock>> lock(const std::string& path) = 0;
};

class PosixFileSystem final : public FileSystem {
 public:
  Result<std::unique_ptr<File>> open(const std::string& path, Open mode) override;
  Status rename(const std::string& from, const std::string& to) override;
  Status remove(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& directory) override;
  Status create_directories(const std::string& directory) override;
  Status sync_directory(const std::string& directory) override;
  bool exists(const std::string& path) override;
  Result<Space> space(const std::string& path) override;
  Result<std::unique_ptr<FileLock>> lock(const std::string& path) override;
};

/// The whole file.
Result<std::string> read_file(FileSystem& files, const std::string& path);
/// Writes `path` so that after a crash it holds the old bytes or the new:
/// temporary file, sync, rename, sync of the folder.
Status write_file_atomically(FileSystem& files, const std::string& path, std::string_view bytes);

}  // namespace clickmill
