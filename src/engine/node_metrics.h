#pragma once

#include "base/metrics.h"
#include "collector/spool.h"
#include "engine/partitions.h"
#include "log/journal.h"

namespace clickmill::engine {

/// Registers what the node exports beside what its parts register themselves.
/// All are borrowed and must outlive `metrics`' use.
void add_node_metrics(Metrics& metrics, const cluster::Owned& owned, const PartitionStatus& status,
                      const log::Journal& journal, const collector::Spool& spool,
                      const stream::StateStore& state);

}  // namespace clickmill::engine
