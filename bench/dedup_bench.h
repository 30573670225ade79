#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace clickmill::bench {

struct DedupBenchOptions {
  std::string directory;  ///< empty; dedup/, ids/ and rocks/ are made in it
  uint32_t partitions = 1;
  uint64_t ids = 10'000'000;      ///< state before measuring, over 24 log hours
  uint64_t measured = 5'000'000;  ///< ids measured after that, at the same rate per hour
  uint64_t batch = 512;           ///< ids per classify
  uint64_t checkpoint = 250'000;  ///< ids per partition between its synced checkpoints
  /// Not 0: instead, so many seconds of log time, as in a node, whose partitions are
  /// staggered; but no more ids than a node keeps unsaved.
  uint64_t interval_s = 0;
  uint32_t copies_per_mille = 5;  ///< among the measured
  uint64_t cache_bytes = 16 << 20;
  /// Ids of the same that go through a bare RocksDB loop, after the same state;
  /// 0: without it.
  uint64_t bare = 500'000;
};

/// Files ids, checkpoints and images included, and prints to stdout: ids/s while
/// the state was built and after, memory and disk per id, what the process holds, longest pauses,
/// time
/// to open anew with and without the table images, and the same ids through bare
/// RocksDB. An error when a verdict is wrong.
Status run_dedup_bench(const DedupBenchOptions& options);

}  // namespace clickmill::bench
