#pragma once

#include <optional>
#include <string>

#include "base/file_system.h"
#include "raft/membership.h"

namespace clickmill::cluster {

/// Who is in a partition's group, where the log alone no longer says it: a file beside the
/// partition's segments, written before the entry that changed it is sealed.
struct KeptMembers {
  Offset offset;  ///< end of that entry
  raft::Membership members;
};

/// Format: top of members_file.cpp. Durable when it returns.
Status write_members(FileSystem& files, const std::string& path, const KeptMembers& kept);
/// Nothing: there is no such file. Errc::corrupt names it.
Result<std::optional<KeptMembers>> read_members(FileSystem& files, const std::string& path);

}  // namespace clickmill::cluster
