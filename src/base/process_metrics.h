#pragma once

#include "base/metrics.h"

namespace clickmill {

/// Registers what Prometheus expects of every process: process_cpu_seconds_total,
/// process_resident_memory_bytes, process_open_fds and so on, as Linux tells them
/// at the time of the scrape. `start_ms`: when the process began, since 1970.
void add_process_metrics(Metrics& metrics, int64_t start_ms);

}  // namespace clickmill
