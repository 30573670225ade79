#pragma once

#include <string>

#include "base/file_system.h"
#include "log/manifest.h"

namespace clickmill::log {

/// What the manifest of a directory must list, found from the segments themselves, for
/// when it is damaged: footers, and the blocks of the segment that has none, say what they
/// are and where they belong. Behind the last block that was listed there may be whole
/// ones of a seal that didn't finish: they hold what is committed, and are listed too.
/// Errc::corrupt: there is no segment, or they don't follow each other, so that something
/// is gone. Cost: reads footers, and all of the segment without one.
Result<Contents> survey_segments(FileSystem& files, const std::string& directory);

}  // namespace clickmill::log
