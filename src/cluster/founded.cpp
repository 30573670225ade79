#include "cluster/founded.h"

#include <algorithm>
#include <string>

#include "cluster/placement.h"

namespace clickmill::cluster {

raft::Membership Founded::voters_of(PartitionId id) const {
  raft::Membership members;
  members.voters = founders;
  if (copies == 0 || copies >= founders.size() || id.value() >= partitions) return members;
  std::vector<std::string> names;
  for (const raft::Member& member : founders) names.push_back(member.node);
  const Placement placement(std::move(names), partitions, copies);
  std::erase_if(members.voters,
                [&](const raft::Member& member) { return !placement.holds(member.node, id); });
  return members;
}

}  // namespace clickmill::cluster
