#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file_system.h"
#include "engine/config.h"
#include "tools/print.h"

namespace clickmill::tools {

/// What `clickmill recover --force-quorum` is told besides the config.
struct ForceOptions {
  bool yes = false;
  std::string survey;             ///< file to write instead of doing anything; empty: none
  std::vector<std::string> with;  ///< surveys of all nodes that go on, this one's too
  bool begin_empty = false;       ///< partitions that nobody has a copy of
};

/// `clickmill recover --force-quorum` on a member of a cluster whose other nodes are gone for
/// good: it goes on as the only voter, in a new epoch; or together with others that were surveyed,
/// on each of which the same is to be done. Says first what it will do and what may
/// be lost, on `print`; without `yes` that is all. The exit code: 0 done, 1 done and the journal
/// was damaged, 2 nothing was changed.
/// Errc::busy while the node runs; Errc::invalid: it belongs to no cluster, or is alone in it.
Result<int> recover_cluster(const engine::Config& config, const ForceOptions& options,
                            FileSystem& files, Clock& clock, const Print& print, const Print& tell);

}  // namespace clickmill::tools
