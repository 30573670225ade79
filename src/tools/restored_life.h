#pragma once

#include <string>

#include "base/clock.h"
#include "base/file_system.h"
#include "tools/backup_manifest.h"
#include "tools/progress.h"

namespace clickmill::tools {

// What is restored goes on from an old moment, while the world remembers a later one: clients
// hold positions, readers of the raw log and sinks hold offsets, operators lists of reviews,
// and other nodes what this one has promised. So it becomes another life of the data:
//  - Each partition's log gets entries that hold nothing, over more offsets than the lost life
//    can have given away. No offset ever names two different clicks.
//  - It has no part in the cluster that it was in: neither its storage id nor its members. Of a
//    new cluster it is the only founder, and the only voter of every group.

/// Whether a file of a backup is taken over.
bool begins_a_life(const std::string& path);
/// Makes what was restored to `data_dir` a new life. Nothing else may have it open.
Status begin_life(const std::string& data_dir, const BackupManifest& manifest, FileSystem& files,
                  const Clock& clock, Progress& progress);

}  // namespace clickmill::tools
