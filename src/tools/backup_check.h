#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/file_system.h"
#include "base/strong.h"
#include "tools/progress.h"

namespace clickmill::tools {

/// What the checkpoints in a state store name: what a start needs beside it.
struct Named {
  std::set<std::string> parts;  ///< files in store/,
  /// and the parts in them: file, and first byte in a file that parts share
  std::set<std::pair<std::string, uint64_t>> places;
  std::set<std::string> tables;  ///< in ids/; without them a start takes longer, and that is all
  std::vector<Offset> applied;   ///< by partition
};
/// Of a data directory that nobody writes. Writes nothing.
Result<Named> read_named(FileSystem& files, const std::string& data_dir, uint32_t partitions);

/// Why a node would not start from it with every count, as far as one can tell without
/// starting: the journal can be read from end to end, no partition's log has a gap or ends
/// before its checkpoint, and every part that is named is there. Writes nothing but LOCK.
Result<std::vector<std::string>> check_data(FileSystem& files, const std::string& data_dir,
                                            const Named& named, Progress& progress);

}  // namespace clickmill::tools
