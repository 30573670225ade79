#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace clickmill::bench {

struct StoreBenchOptions {
  std::string directory;  ///< empty, for the parts
  uint32_t partitions = 64;
  uint32_t ads = 300;
  uint64_t days = 1826;
  uint64_t minutes = 10;      ///< a day in which an ad is clicked
  uint64_t flushes = 2;       ///< of a partition a day
  uint64_t late = 100;        ///< one row of so many is of a day in the last 90
  uint64_t kept_days = 1826;  ///< of every table
};

/// Ages a store by years: flushes rows of all partitions, and does what a node does with their
/// parts meanwhile, on one thread; nothing is synced, so that it can be waited for. Prints
/// to stdout, year by year: files, parts, bytes, and bytes written for each byte that a flush
/// wrote; at the end, how long opening all parts takes, and a check of all counts.
Status run_store_bench(const StoreBenchOptions& options);

}  // namespace clickmill::bench
