#pragma once

#include <cstdint>
#include <vector>

#include "raft/membership.h"

namespace clickmill::cluster {

/// What makes nodes one cluster: the same on all of them, and but for the epoch for ever.
struct Founded {
  uint64_t cluster_id = 0;    ///< never 0
  uint64_t epoch = 1;         ///< raised by a forced recovery
  uint64_t epoch_random = 0;  ///< tells two forced recoveries of one number apart
  uint32_t partitions = 0;
  uint64_t seed = 0;  ///< secret; hashes ids and visitors
  /// The voters of every group before its first entry. Who joins later is not among them.
  std::vector<raft::Member> founders;

  friend bool operator==(const Founded&, const Founded&) = default;
};

}  // namespace clickmill::cluster
