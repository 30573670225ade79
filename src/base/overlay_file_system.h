#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/file_system.h"

namespace clickmill {

/// A disk that can be read and never changes: what is written, renamed or removed
/// stays in memory and shows through this object only. So a tool can recover a data
/// directory exactly as a node would, and leave every byte of it as it was. A file
/// that is written to is kept whole in memory. Locks are real.
/// Thread: any.
class OverlayFileSystem final : public FileSystem {
 public:
  /// `below` is borrowed and outlives it.
  explicit OverlayFileSystem(FileSystem& below) : below_(below) {}

  Result<std::unique_ptr<File>> open(const std::string& path, Open mode) override;
  Status rename(const std::string& from, const std::string& to) override;
  Status remove(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& directory) override;
  Status create_directories(const std::string&) override { return {}; }
  Status sync_directory(const std::string&) override { return {}; }
  bool exists(const std::string& path) override;
  Result<Space> space(const std::string& path) override { return below_.space(path); }
  Result<std::unique_ptr<FileLock>> lock(const std::string& path) override {
    return below_.lock(path);
  }

 private:
  class OverlayFile;
  struct Content {
    std::mutex mutex;  ///< guards bytes
    std::string bytes;
  };
  using ContentPtr = std::shared_ptr<Content>;

  ContentPtr find(const std::string& path, bool& hidden);
  /// The content in memory, taken from below when it isn't there yet.
  Result<ContentPtr> take_over(const std::string& path);
  void put(const std::string& path, ContentPtr content);

  FileSystem& below_;
  std::mutex mutex_;                           ///< guards the map; taken before a content's
  std::map<std::string, ContentPtr> changed_;  ///< null: removed
};

}  // namespace clickmill
