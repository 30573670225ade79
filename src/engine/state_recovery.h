#pragma once

#include <string>

#include "base/damage.h"
#include "base/file_system.h"
#include "engine/data_dir.h"

namespace clickmill::engine {

/// Renames state/ and store/ to the first free `state.damaged-<n>` and
/// `store.damaged-<n>`, so that the stream begins anew and replays the whole log.
/// Every count is in the log; the folders are kept for a person to look at.
/// For a state store that can't be opened at all; what concerns one partition is that
/// one's (stream::Rebuilder). A partition whose log no longer reaches back to its first
/// offset can't be rebuilt: it is left out until the folders are restored. `why` is what
/// was found. Errc::corrupt, and nothing has moved, when the log of a partition can't be
/// opened either. Neither folder may be in use.
Status set_state_aside(const DataDir& dir, FileSystem& files, const Error& why);

}  // namespace clickmill::engine
