#pragma once

#include <string>

#include "base/file_system.h"
#include "engine/data_dir.h"

namespace clickmill::engine {

/// Whether an error of opening the stream's state says that files of it are
/// damaged or gone (and not that the disk fails, or is full).
bool is_damage(const Error& error);

/// Renames state/ and store/ to the first free `state.damaged-<n>` and
/// `store.damaged-<n>`, so that the stream begins anew and replays the whole log.
/// Every count is in the log; the folders are kept for a person to look at.
/// `why` is what was found. Errc::corrupt, and nothing has moved, when the log
/// of a partition no longer reaches back to its first offset: a replay would
/// lose what is older. Neither folder may be in use.
Status set_state_aside(const DataDir& dir, FileSystem& files, const Error& why);

}  // namespace clickmill::engine
