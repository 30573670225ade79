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

// One that is one of several, since none has everything, stays a member of its cluster, with
// another storage id: until a forced recovery with surveys of all that were restored begins a new
// epoch it votes in nothing, and so has no promise to keep.

/// Why its storage id of before was given up.
inline constexpr const char* kRestoredFromBackup = "it was restored from a backup";
/// Whether a file of a backup is taken over.
bool begins_a_life(const std::string& path);
/// Makes what was restored to `data_dir` a new life. Nothing else may have it open.
Status begin_life(const std::string& data_dir, const BackupManifest& manifest, FileSystem& files,
                  const Clock& clock, Progress& progress);
/// The same of one that is to be surveyed beside others.
Status stay_member(const std::string& data_dir, FileSystem& files);

}  // namespace clickmill::tools
