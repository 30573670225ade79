#pragma once

#include "base/metrics.h"
#include "engine/machine.h"

namespace clickmill::engine {

/// Registers what the node exports beside what its parts register themselves.
/// Both are borrowed and must outlive `metrics`' use.
void add_node_metrics(Metrics& metrics, Machine& machine, const state::Store& state);

}  // namespace clickmill::engine
