#pragma once

#include <string>
#include <vector>

#include "log/entry.h"
#include "log/partition_log.h"
#include "log/segments.h"
#include "raft/replica.h"

namespace clickmill::cluster {

/// This node's place in one replicated group, as the rest of the node sees it: what Peers brings
/// messages to, and a Caretaker looks after. Groups are numbered: partitions by their id, behind
/// them the ads. Thread: worker, number id mod workers, except id().
class GroupMember {
 public:
  virtual ~GroupMember() = default;
  virtual PartitionId id() const = 0;
  virtual const raft::Replica& replica() const = 0;
  virtual const log::PartitionLog& log() const = 0;
  /// Its reading functions may be called on any thread.
  virtual log::Segments& segments() = 0;

  /// A message of another member, on `node`.
  virtual void receive(const std::string& node, raft::Received&& message) = 0;
  /// The link to another member's node is new.
  virtual void link_is_new(raft::StorageId storage) = 0;
  /// Sealed blocks of the leader, which were asked for.
  virtual void take_blocks(Result<std::vector<log::Entry>> blocks) = 0;
  /// As leader; see raft::Core::change and hand_over.
  virtual Status change_members(std::vector<raft::Member> voters,
                                std::vector<raft::Member> learners) = 0;
  virtual Status hand_over(raft::StorageId heir) = 0;
};

}  // namespace clickmill::cluster
