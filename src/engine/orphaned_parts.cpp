#include "engine/orphaned_parts.h"

#include <fmt/format.h>

#include <set>
#include <string>

#include "base/logging.h"

namespace clickmill::engine {

Status remove_orphaned_parts(const DataPaths& paths, FileSystem& files,
                             const cluster::Owned& owned) {
  std::set<std::string> named;
  for (const auto& partition : owned.partitions) {
    for (const auto& meta : partition->pipeline().part_metas()) named.insert(meta.name);
  }
  const auto may_go = [&](const std::string& name) {
    const auto slot = stream::slot_of_part(name);
    if (!slot || named.count(name) != 0) return false;
    if (slot->partition().value() >= owned.partitions.size()) return false;
    const cluster::Partition& partition = *owned.partitions[slot->partition().value()];
    return !partition.stands_in() && !partition.rebuilding() &&
           *slot <= partition.pipeline().slot();
  };
  auto names = TRY(files.list(paths.store()));
  const auto shared = owned.shelf->unneeded(names);
  std::erase_if(names, [&](const std::string& name) { return !may_go(name); });
  names.insert(names.end(), shared.begin(), shared.end());
  for (const std::string& name : names) {
    log_info("store", fmt::format("removing {}, which no checkpoint names", name));
    // One that can't be removed costs only its space.
    if (auto gone = files.remove(paths.store() + "/" + name); !gone)
      log_warn("store", gone.error().text());
  }
  return {};
}

}  // namespace clickmill::engine
