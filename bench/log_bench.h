#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace clickmill::bench {

struct LogBenchOptions {
  std::string directory;      ///< made if need be; a folder in it is used and emptied
  uint64_t clicks = 400'000;  ///< sealed and read; half as many are appended
  uint32_t seconds = 3;       ///< of each latency run
  uint32_t batch = 64;        ///< clicks an entry
};

/// Measures the log and prints to stdout: bytes per click on disk, in all and by
/// field; sealing and reading, in records per second of one core; appending, synced
/// and not, and commit latency, each beside a plain file written with the same bytes
/// in the same run. Writes less than 2 GiB.
Status run_log_bench(const LogBenchOptions& options);

// Its parts.
Status bench_sizes_and_reading(const LogBenchOptions& options);
Status bench_appending(const LogBenchOptions& options);

}  // namespace clickmill::bench
