#pragma once

#include <memory>
#include <vector>

#include "cluster/ads_group.h"
#include "cluster/partition.h"
#include "cluster/worker.h"

namespace clickmill::cluster {

/// The partitions of this node, the ads where it has peers, and the workers that own them.
struct Owned {
  std::vector<std::unique_ptr<Worker>> workers;
  std::vector<std::unique_ptr<Partition>> partitions;  ///< by id
  std::unique_ptr<AdsGroup> ads;                       ///< null: there are no peers
  store::Shelf* shelf = nullptr;                       ///< borrowed; null before partitions are

  Worker& worker_of(PartitionId id) { return *workers[id.value() % workers.size()]; }
  /// By its number; null: there is none.
  GroupMember* group(uint64_t id) const {
    if (id < partitions.size()) return partitions[id].get();
    return ads && id == ads->id().value() ? ads.get() : nullptr;
  }
  /// By number.
  std::vector<GroupMember*> groups() const {
    std::vector<GroupMember*> all;
    for (const auto& partition : partitions) all.push_back(partition.get());
    if (ads) all.push_back(ads.get());
    return all;
  }
  std::vector<PartitionId> all() const {
    std::vector<PartitionId> ids;
    for (const auto& partition : partitions) ids.push_back(partition->id());
    return ids;
  }
};

}  // namespace clickmill::cluster
