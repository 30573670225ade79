#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/strong.h"

namespace clickmill::cluster {

/// Which nodes are to hold each partition: a function of the nodes' names, the number of
/// partitions and of copies, and so the same on every node that has the same config. Who really
/// holds one is said by its group's log; caretakers bring the second to the first.
///
/// By rendezvous hashing (each node draws a number for each partition, the highest have it),
/// held within one of equal shares; who leads is shared in the same way. Where every node has a
/// copy of everything, the leads go round instead.
/// The outcome is part of the format: a cluster's first members follow from it for ever.
/// Thread: any (immutable).
class Placement {
 public:
  /// `nodes`: each once, at least one. More copies than nodes: as many as there are nodes.
  Placement(std::vector<std::string> nodes, uint32_t partitions, uint32_t copies);

  /// Whom to prefer as leader first. The group behind the partitions, of the ads, is on all nodes.
  const std::vector<std::string>& replicas(PartitionId id) const;
  bool holds(const std::string& node, PartitionId id) const;
  /// Whether there are nodes that don't hold everything.
  bool partial() const { return copies_ < nodes_.size(); }
  uint32_t copies() const { return static_cast<uint32_t>(copies_); }
  /// Of nodes, partitions and copies: who has the same wants the same.
  uint64_t digest() const { return digest_; }

 private:
  void place();
  void choose_leaders();

  std::vector<std::string> nodes_;  ///< sorted
  size_t copies_;
  uint64_t digest_ = 0;
  std::vector<std::vector<std::string>> replicas_;  ///< by group
};

}  // namespace clickmill::cluster
