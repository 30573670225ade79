#pragma once

#include <memory>
#include <vector>

#include "cluster/partition.h"
#include "cluster/worker.h"

namespace clickmill::cluster {

/// The partitions of this node and the workers that own them.
struct Owned {
  std::vector<std::unique_ptr<Worker>> workers;
  std::vector<std::unique_ptr<Partition>> partitions;  ///< by id

  Worker& worker_of(PartitionId id) { return *workers[id.value() % workers.size()]; }
  std::vector<PartitionId> all() const {
    std::vector<PartitionId> ids;
    for (const auto& partition : partitions) ids.push_back(partition->id());
    return ids;
  }
};

}  // namespace clickmill::cluster
