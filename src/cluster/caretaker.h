#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "cluster/group_member.h"
#include "cluster/placement.h"
#include "cluster/sights.h"

namespace clickmill::cluster {

/// Keeps the groups that are led here as the cluster is meant to be: every node that the placement
/// names a voter with the disk that it has now, and each group led by the node that is preferred
/// for it. A node whose
/// disk is new (wiped, replaced, or one that may have forgotten a promise) comes in as a learner,
/// and takes its old disk's place once it has what the others have: entries can be got again,
/// votes can't.
/// One per worker. Thread: that worker.
class Caretaker {
 public:
  struct Options {
    std::string node;
    std::vector<std::string> nodes;  ///< all, sorted
    std::shared_ptr<const Placement> placement = nullptr;
    int64_t replace_after_ms = 10'000;   ///< so long a new disk has been there, and no old one
    int64_t prefer_after_ms = 60'000;    ///< so long a preferred leader has been well
    int64_t hand_over_every_ms = 1'000;  ///< each is a pause for the group's clicks
    uint64_t near = 1'000;               ///< offsets by which a member may trail
    uint32_t replication = 3;            ///< no group lets go of a node that leaves it fewer voters
  };
  /// `sights` is borrowed.
  Caretaker(Options options, const Sights& sights)
      : options_(std::move(options)), sights_(sights) {}

  /// Takes in who is there now. Once per round, before look_after().
  void look(int64_t now_ns);
  /// Whether all nodes have told that they want the same placement: before that nothing moves, or
  /// two that lead in turn would move it to and fro.
  void agreed(bool all) { agreed_ = all; }
  /// Nodes that are none of ours any more: their disks leave the groups once all of ours vote.
  void let_go(std::set<std::string> leaving) { leaving_ = std::move(leaving); }
  /// One led group, if something is to be done for it.
  void look_after(GroupMember& group, int64_t now_ns);
  /// Before a stop: the group goes to whoever has most of it.
  static void hand_over(GroupMember& group);

 private:
  struct Seen {
    raft::StorageId storage;
    int64_t since_ns = 0;  ///< with this disk, and heard all the while
  };
  bool replace_disks(GroupMember& group, int64_t now_ns);
  bool may_come(const GroupMember& group, const std::string& node) const;
  bool part(GroupMember& group);
  bool move_away(GroupMember& group);
  bool goes_on(const GroupMember& group, const raft::Member& member) const;
  void prefer(GroupMember& group, int64_t now_ns);
  static bool is_near(const raft::Core& core, raft::StorageId storage, uint64_t near);

  const Options options_;
  const Sights& sights_;
  std::set<std::string> leaving_;
  std::map<std::string, Seen> seen_;  ///< other nodes that are heard and well
  int64_t next_hand_over_ns_ = 0;
  bool agreed_ = false;
  bool settled_ = false;  ///< agreed, and all nodes have been well for a while
};

}  // namespace clickmill::cluster
