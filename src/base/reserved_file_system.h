#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/file_system.h"

namespace clickmill {

/// A disk of which a part stays free: a write that needs more of it while less than
/// the reserve is left fails with Errc::no_space before anything is written, so that
/// it can be tried again and leaves no half of a file. Files in one folder, whose
/// writer keeps a reserve of its own, are not held to it. Reading, overwriting,
/// renaming and removing are free.
/// Removals can be held back for a moment, so that a backup finds what the state names.
/// Thread: any.
class ReservedFileSystem final : public FileSystem {
 public:
  /// `below` is borrowed and outlives it. No reserve at first.
  ReservedFileSystem(FileSystem& below, const std::string& exempt_directory)
      : below_(below), exempt_(exempt_directory + "/") {}
  void set_reserve(uint64_t bytes) { reserve_bytes_ = bytes; }
  uint64_t reserve() const { return reserve_bytes_; }
  /// While it is held, files that are removed (but in the exempt folder) stay; they go when
  /// the last hold does, unless they were made anew meanwhile. It may outlive nothing of this.
  std::shared_ptr<void> hold_removals();

  Result<std::unique_ptr<File>> open(const std::string& path, Open mode) override;
  Status rename(const std::string& from, const std::string& to) override {
    made_anew(to);
    return below_.rename(from, to);
  }
  Status remove(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& directory) override {
    return below_.list(directory);
  }
  Status create_directories(const std::string& directory) override {
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
  class ReservedFile;
  Status check_room(const std::string& path);
  void made_anew(const std::string& path);
  void end_hold();

  FileSystem& below_;
  const std::string exempt_;
  std::atomic<uint64_t> reserve_bytes_{0};
  std::mutex mutex_;  ///< guards the two below, between whoever removes and who holds
  size_t holds_ = 0;
  std::set<std::string> held_back_;
};

}  // namespace clickmill
