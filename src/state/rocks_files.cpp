#include "state/rocks_files.h"

#include <rocksdb/env.h>
#include <sys/resource.h>

#include <algorithm>
#include <string_view>
#include <vector>

namespace clickmill::state {

bool holds_rocks_database(const std::string& directory) {
  return !rocksdb::Env::Default()->FileExists(directory + "/CURRENT").IsNotFound();
}

Status check_no_rocks_files(const std::string& directory) {
  std::vector<std::string> names;
  const auto listed = rocksdb::Env::Default()->GetChildren(directory, &names);
  if (!listed.ok())
    return Error(Errc::io, "state store: open " + directory + ": " + listed.ToString());
  for (const auto& name : names) {
    const bool manifest = name.starts_with("MANIFEST-") && name != "MANIFEST-000001";
    if (manifest || name.ends_with(".sst") || name.ends_with(".log")) {
      return Error(Errc::corrupt, "state store: CURRENT is missing beside " + name, directory);
    }
  }
  return {};
}

int rocks_open_files_most() {
  constexpr rlim_t kMost = 1024;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return kMost;
  return static_cast<int>(std::clamp<rlim_t>(limit.rlim_cur / 8, 24, kMost));
}

}  // namespace clickmill::state
