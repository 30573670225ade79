#pragma once

#include "base/file_system.h"
#include "base/result.h"
#include "cluster/owned.h"
#include "engine/data_dir.h"

namespace clickmill::engine {

/// Deletes part files that no checkpoint names: left by a crash between writing
/// a part and the checkpoint, or by one before an unlink. What is no part file of ours,
/// and those of a partition that is lost or being rebuilt, stay.
Status remove_orphaned_parts(const DataPaths& paths, FileSystem& files,
                             const cluster::Owned& owned);

}  // namespace clickmill::engine
