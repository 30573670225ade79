#pragma once

#include <string>
#include <vector>

#include "base/file_system.h"
#include "log/manifest.h"

namespace clickmill::log {

/// What the manifest of a directory must list, found from the segments themselves, for
/// when it is damaged: footers, and the blocks of the segment that has none, say what they
/// are and where they belong. Behind the last block that was listed there may be whole
/// ones of a seal that didn't finish: they hold what is committed, and are listed too.
/// Errc::corrupt: there is no segment; or they don't follow each other, so that something is
/// gone, and nobody asks for `holes`. With it what is gone is listed as a segment of its own,
/// which can't be read, and told there. Cost: reads footers, and all of the segment without
/// one.
Result<Contents> survey_segments(FileSystem& files, const std::string& directory,
                                 std::vector<std::string>* holes = nullptr);

}  // namespace clickmill::log
