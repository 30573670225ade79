#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace clickmill::bench {

struct DedupBenchOptions {
  std::string directory;  ///< empty, for RocksDB
  uint32_t partitions = 1;
  uint64_t ids = 10'000'000;       ///< state before measuring, over 24 log hours
  uint64_t measured = 5'000'000;   ///< ids measured after that, at the same rate per hour
  uint64_t batch = 512;            ///< ids per classify
  uint64_t checkpoint = 250'000;   ///< ids per partition between its synced checkpoints
  /// Copies among the measured: half of them of one of the last thousands of ids,
  /// half of any id of the last 20 hours.
  uint32_t copies_per_mille = 5;
  uint64_t cache_bytes = 64 << 20;
};

/// Files ids, checkpoints included, and prints to stdout: ids/s while the state
/// was built and after, memory per id, look-ups in the state store, time to open
/// anew. An error when a verdict is wrong.
Status run_dedup_bench(const DedupBenchOptions& options);

}  // namespace clickmill::bench
