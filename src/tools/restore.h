#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file_system.h"
#include "tools/backup_manifest.h"
#include "tools/print.h"

namespace clickmill::tools {

/// What is wrong with a backup: a line for each file that is not what its list says, then what
/// would keep a node from starting. Empty: nothing. An error: it can't be judged.
Result<std::vector<std::string>> verify_backup(const BackupPaths& backup, FileSystem& files,
                                               const Clock& clock, uint64_t bytes_per_second,
                                               const Print& tell);

struct RestoreRequest {
  BackupPaths backup;
  std::string data_dir;      ///< does not exist, or is empty
  bool new_cluster = false;  ///< of a cluster's member: begin a cluster anew with it
  std::string node_id;       ///< of the config
  bool one_of_many = false;  ///< where each node has only some of the partitions
};
struct Restored {
  BackupManifest manifest;
  bool one_of_many = false;  ///< it stays a member, and is to be surveyed
  uint64_t bytes_shared = 0;
};
/// Makes a data directory of a backup, every byte checked on the way. Files that never change
/// are shared with it where the disk is the same. The node file comes last: without it no node
/// starts. What the restored node counts on is a life of its own (restored_life.h).
/// Errc::corrupt: the backup is damaged; Errc::invalid: the folder is not empty, or the backup
/// is a cluster member's. After an error what was made is removed.
Result<Restored> restore_backup(const RestoreRequest& request, FileSystem& files,
                                const Clock& clock, const Print& tell);

}  // namespace clickmill::tools
