#pragma once

#include "base/metrics.h"
#include "engine/machine.h"

namespace clickmill::engine {

/// Registers what journal and spool export. The machine is borrowed and must outlive
/// `metrics`' use.
void add_collector_metrics(Metrics& metrics, const Machine& machine);
/// The same for partitions and state, once they are open.
void add_stream_metrics(Metrics& metrics, const Machine& machine);

}  // namespace clickmill::engine
