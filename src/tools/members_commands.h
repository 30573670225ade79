#pragma once

#include "base/result.h"
#include "tools/cluster_options.h"
#include "tools/print.h"

namespace clickmill::tools {

/// `clickmill cluster add | replace | forget | drain`: each says first what it will do, refuses
/// what would cost the cluster its quorum or its copies, and with --yes does it and tells how far
/// it is until it is done. The nodes are those of the config. The exit code: 0 done, 2 not.
Result<int> add_command(const ClusterOptions& options, const Print& print, const Print& tell);
Result<int> replace_command(const ClusterOptions& options, const Print& print, const Print& tell);
Result<int> forget_command(const ClusterOptions& options, const Print& print, const Print& tell);
Result<int> drain_command(const ClusterOptions& options, const Print& print, const Print& tell);
/// `clickmill cluster replication N`: waits until each partition has as many copies as the config
/// says, N of them, and refuses while a node was told otherwise.
Result<int> replication_command(const ClusterOptions& options, const Print& print,
                                const Print& tell);

}  // namespace clickmill::tools
