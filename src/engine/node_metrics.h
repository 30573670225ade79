#pragma once

#include <string>

#include "base/metrics.h"
#include "base/reserved_file_system.h"
#include "engine/machine.h"

namespace clickmill::engine {

/// Registers what journal and spool export. The machine is borrowed and must outlive
/// `metrics`' use.
void add_collector_metrics(Metrics& metrics, Machine& machine);
/// The same for partitions and state, once they are open.
void add_stream_metrics(Metrics& metrics, Machine& machine);
/// How full the disk of `directory` is.
void add_disk_metrics(Metrics& metrics, ReservedFileSystem& files, const std::string& directory);

}  // namespace clickmill::engine
