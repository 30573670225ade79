#pragma once

#include <cstdint>
#include <vector>

#include "base/strong.h"
#include "raft/membership.h"

namespace clickmill::cluster {

/// What makes nodes one cluster: the same on all of them, and but for the epoch for ever.
struct Founded {
  uint64_t cluster_id = 0;    ///< never 0
  uint64_t epoch = 1;         ///< raised by a forced recovery
  uint64_t epoch_random = 0;  ///< tells two forced recoveries of one number apart
  uint32_t partitions = 0;
  uint64_t seed = 0;  ///< secret; hashes ids and visitors
  /// Who was there. Who joins later is not among them.
  std::vector<raft::Member> founders;
  /// Copies of each partition among the founders; 0: each of them has one.
  uint32_t copies = 0;
  /// The voters of a group before its first entry; behind the partitions, of the ads.
  raft::Membership voters_of(PartitionId id) const;

  friend bool operator==(const Founded&, const Founded&) = default;
};

/// A forced recovery: one node went on without the others' word.
struct Epoch {
  uint64_t number = 0;
  uint64_t random = 0;
  /// By group: what that node knew to be committed then, and so has in common with whoever it
  /// left behind.
  std::vector<Offset> committed;
  friend bool operator==(const Epoch&, const Epoch&) = default;
};

/// What a node of a cluster can say of how it came to be.
struct Lineage {
  Founded founded;
  std::vector<Epoch> epochs;  ///< forced ones, oldest first, as far as this node knows
};

}  // namespace clickmill::cluster
