#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/reserved_file_system.h"
#include "engine/backup_image.h"
#include "engine/data_dir.h"
#include "engine/machine.h"

namespace clickmill::engine {

/// The running node's side of a backup (FreezePaths): looks for a request a few times a
/// second, and freezes the data for it. Copying is the command's work, in its own process.
/// Works on the real disk. Thread: start, stop by the owner, between the machine's recovery
/// and the end of its workers.
class BackupDesk {
 public:
  /// All are borrowed and outlive it. `files`: through which the node removes.
  BackupDesk(const DataDir& dir, Machine& machine, ReservedFileSystem& files, const Clock& clock)
      : dir_(dir), machine_(machine), files_(files), clock_(clock), paths_{dir.path()} {}
  ~BackupDesk() { stop(); }
  BackupDesk(const BackupDesk&) = delete;
  BackupDesk& operator=(const BackupDesk&) = delete;

  void start();
  void stop();
  /// Does what is due; for the thread.
  void look();

 private:
  void run();
  Result<FrozenImage> make_image();
  bool wait_until_durable();
  void remove_left_image();

  const DataDir& dir_;
  Machine& machine_;
  ReservedFileSystem& files_;
  const Clock& clock_;
  const FreezePaths paths_;
  PosixFileSystem disk_;
  std::mutex mutex_;  ///< guards the flag, for the wait
  std::condition_variable changed_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace clickmill::engine
