#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file_system.h"
#include "engine/backup_image.h"
#include "engine/config.h"
#include "tools/backup_check.h"
#include "tools/backup_files.h"
#include "tools/backup_manifest.h"
#include "tools/print.h"
#include "tools/progress.h"

namespace clickmill::tools {

struct BackupRequest {
  engine::Config config;  ///< data_dir, and what its disk's reserve follows from
  std::string folder;     ///< does not exist, or is empty
  uint64_t bytes_per_second = 64 << 20;
};

/// `clickmill backup DIR`: asks the node for an image of its data (engine::FreezePaths), or
/// makes one where none runs, copies it, checks the copy as a start would, and gives it its
/// name last. Files that never change are shared by hard links where the disk is the same.
/// Works on the real disk. Thread: one.
class BackupMaker {
 public:
  /// `clock` is borrowed and outlives it. `tell` hears how far it is.
  BackupMaker(BackupRequest request, const Clock& clock, Print tell);
  ~BackupMaker();
  BackupMaker(const BackupMaker&) = delete;
  BackupMaker& operator=(const BackupMaker&) = delete;

  /// Once. After an error nothing is left of it.
  Result<BackupManifest> run();
  uint64_t bytes_shared() const { return copier_->bytes_shared(); }

 private:
  Status take_lock();
  Status prepare_folder();
  Status take_image();
  Status take_image_of_running();
  Status take_image_of_stopped(std::unique_ptr<engine::DataDir> dir);
  Result<engine::FrozenImage> await_answer(const std::string& token);
  Status make();
  Status copy_all();
  Status make_folder(const std::string& name);
  Status copy(const std::string& name, uint64_t bytes);
  Status copy_if_there(const std::string& name);
  Status share(const std::string& name, uint64_t bytes);
  void list(const std::string& name, uint64_t bytes, uint64_t checksum, bool immutable);
  Status copy_state();
  Status share_named();
  Status copy_log(const std::string& partition);
  Status copy_journal();
  Status copy_small();
  Status note_cluster();
  Status check();
  Status finish();

  const BackupRequest request_;
  const Clock& clock_;
  const Print tell_;
  Progress progress_;
  std::unique_ptr<FileSystem> files_;  ///< leaves the node its reserve
  PosixFileSystem disk_;
  std::unique_ptr<BackupFiles> copier_;
  const engine::FreezePaths frozen_;
  const BackupPaths target_;
  BackupPaths partial_;
  std::unique_ptr<FileLock> lock_;             ///< one backup at a time
  std::unique_ptr<FileLock> folder_lock_;      ///< and one for a folder
  std::unique_ptr<engine::DataDir> data_dir_;  ///< of a stopped node: it must not start meanwhile
  bool folder_made_ = false;
  engine::FrozenImage image_;
  Named named_;
  std::vector<std::string> folders_;
  BackupManifest manifest_;
};

}  // namespace clickmill::tools
