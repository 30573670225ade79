#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/file_system.h"
#include "tools/backup_manifest.h"
#include "tools/progress.h"

namespace clickmill::tools {

/// Copies, shares and reads files for backups, no faster than it may, so that a node on the
/// same disk doesn't feel it.
/// Thread: one.
class BackupFiles {
 public:
  struct Options {
    uint64_t bytes_per_second = 64 << 20;  ///< 0: as fast as it goes
    uint64_t bytes_expected = 0;           ///< for progress; 0: not known
  };
  /// All are borrowed and outlive it.
  BackupFiles(FileSystem& files, const Clock& clock, Progress& progress, Options options)
      : files_(files), clock_(clock), progress_(progress), options_(options) {}

  /// The first `bytes` bytes, durable on return, their name not; gives FileChecksum. Pages of
  /// zeros become holes. Errc::corrupt: there are fewer.
  Result<uint64_t> copy(const std::string& from, const std::string& to, uint64_t bytes) {
    return copy(from, to, bytes, bytes);
  }
  /// The same in a file of `size` bytes, the rest zeros.
  Result<uint64_t> copy(const std::string& from, const std::string& to, uint64_t bytes,
                        uint64_t size);
  /// Makes `to` a further name of the file if this disk and the other let it, else a copy.
  Result<uint64_t> share(const std::string& from, const std::string& to, uint64_t bytes);
  /// FileChecksum of a whole file. Errc::corrupt: it hasn't that many bytes.
  Result<uint64_t> checksum_of(const std::string& path, uint64_t bytes);
  uint64_t bytes_read() const { return bytes_read_; }
  /// Of them, in files that are shared.
  uint64_t bytes_shared() const { return bytes_shared_; }

 private:
  using Take = std::function<Status(uint64_t at, std::string_view piece)>;
  Result<FileChecksum> read(const std::string& path, uint64_t bytes, const Take& take);
  void keep_pace(uint64_t bytes);

  FileSystem& files_;
  const Clock& clock_;
  Progress& progress_;
  const Options options_;
  uint64_t bytes_read_ = 0;
  uint64_t bytes_shared_ = 0;
  int64_t next_ns_ = 0;  ///< when the next piece may be read
};

/// Gives way to what else runs on this machine: disk and processor.
void be_idle();

}  // namespace clickmill::tools
