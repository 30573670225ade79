#pragma once

#include <string>

#include "base/result.h"

namespace clickmill::state {

/// Whether a RocksDB was ever made in the directory. Thread: any, as of all here.
bool holds_rocks_database(const std::string& directory);
/// Errc::corrupt when the directory has files of a RocksDB but no CURRENT: it would begin anew
/// and delete what else is there. Its very first manifest may stand alone: a disk that was full
/// kept it from getting further.
Status check_no_rocks_files(const std::string& directory);
/// A share of what the process may have open; parts, segments and connections need the rest.
int rocks_open_files_most();

}  // namespace clickmill::state
