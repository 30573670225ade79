#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/file_system.h"

namespace clickmill {

/// A disk that was mounted read-only, until it no longer is.
class ReadOnlyDisk final : public FileSystem {
 public:
  explicit ReadOnlyDisk(FileSystem& below) : below_(below) {}
  bool read_only = true;

  Result<std::unique_ptr<File>> open(const std::string& path, Open mode) override {
    if (mode != Open::read) TRY(check(path));
    return below_.open(path, mode);
  }
  Status rename(const std::string& from, const std::string& to) override {
    TRY(check(from));
    return below_.rename(from, to);
  }
  Status remove(const std::string& path) override {
    TRY(check(path));
    return below_.remove(path);
  }
  Result<std::vector<std::string>> list(const std::string& directory) override {
    return below_.list(directory);
  }
  Status create_directories(const std::string& directory) override {
    if (below_.exists(directory)) return {};
    TRY(check(directory));
    return below_.create_directories(directory);
  }
  Status sync_directory(const std::string& directory) override {
    return below_.sync_directory(directory);
  }
  bool exists(const std::string& path) override { return below_.exists(path); }
  Result<Space> space(const std::string& path) override { return below_.space(path); }
  Result<std::unique_ptr<FileLock>> lock(const std::string& path) override {
    return below_.lock(path);
  }

 private:
  Status check(const std::string& path) const {
    if (read_only) return Error(Errc::io, "Read-only file system", path);
    return {};
  }
  FileSystem& below_;
};

}  // namespace clickmill
