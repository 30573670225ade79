#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "id_source.h"

namespace clickmill::bench {

/// What one would write first: RocksDB with bloom filters, the id as key; per
/// batch a MultiGet of all ids and a WriteBatch of the new ones, synced as often
/// as dedup's checkpoints.
struct RocksLoopOptions {
  std::string directory;  ///< empty
  IdSource::Options source;
  uint64_t ids = 0;  ///< state before measuring, loaded sorted and without looking
  uint64_t measured = 0;
  uint64_t checkpoint = 250'000;
  uint64_t cache_bytes = 64 << 20;
};
struct RocksLoopReport {
  double ids_per_second = 0;
  double ids_per_core_second = 0;
};
Result<RocksLoopReport> run_rocks_loop(const RocksLoopOptions& options);

}  // namespace clickmill::bench
