#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace clickmill::bench {

struct StreamBenchOptions {
  std::string directory;  ///< empty, for state and parts
  uint32_t partitions = 64;
  uint32_t ads = 100'000;
  uint64_t clicks = 5'000'000;  ///< measured
  uint64_t ids = 0;             ///< remembered before, over 24 log hours
  uint64_t rate = 10'000;       ///< clicks per second of log time
  uint64_t batch = 512;         ///< clicks per log entry, at most
  uint64_t checkpoint = 0;      ///< clicks per partition between its checkpoints; 0: as a node
  uint64_t cache_bytes = 16 << 20;
};

/// Applies prepared log entries of realistic clicks on one thread: decoding,
/// dedup, lateness, windows, sketches, digest, checkpoints and flushes. Others write what is
/// checkpointed, and merge parts, as in a node. As a node checkpoints: every 30 s of log time, or
/// when a partition's share of 20 MiB is unsaved. Prints to stdout: clicks/s, of the core and with
/// all threads' time; memory per open row and of the process; longest checkpoint pause. Preparing
/// the entries is not counted. An error when not every click was counted.
Status run_stream_bench(const StreamBenchOptions& options);

}  // namespace clickmill::bench
