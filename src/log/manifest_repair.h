#pragma once

#include <memory>
#include <string>

#include "base/file_system.h"
#include "log/manifest.h"

namespace clickmill::log {

/// The manifest of a directory of segments; a new one where there are none yet, since a list
/// must not be begun over segments. A damaged or lost one is made anew from them, and `told`
/// says so, with where the damaged one is kept; empty: nothing was wrong.
Result<std::unique_ptr<Manifest>> open_or_mend_manifest(FileSystem& files,
                                                        const std::string& directory,
                                                        std::string& told);

}  // namespace clickmill::log
