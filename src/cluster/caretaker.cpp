#include "cluster/caretaker.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/logging.h"

namespace clickmill::cluster {

void Caretaker::look(int64_t now_ns) {
  for (const std::string& node : options_.nodes) {
    if (node == options_.node) continue;
    const auto storage = sights_.storage_of(node);
    if (!storage || !sights_.fit(node, now_ns)) {
      seen_.erase(node);
      continue;
    }
    Seen& seen = seen_[node];
    if (seen.storage != *storage) seen = {*storage, now_ns};
  }
  settled_ = agreed_ && seen_.size() + 1 == options_.nodes.size() &&
             std::ranges::all_of(seen_, [&](const auto& one) {
               return now_ns - one.second.since_ns >= options_.replace_after_ms * 1'000'000;
             });
}

void Caretaker::look_after(GroupMember& group, int64_t now_ns) {
  if (!group.replica().leads_surely()) return;
  if (!replace_disks(group, now_ns) && !part(group) && !move_away(group)) prefer(group, now_ns);
}

/// Whether the node is to become a member. Where nodes don't hold everything one that is none yet
/// comes only once all are settled; a member with another disk comes back at any time.
bool Caretaker::may_come(const GroupMember& group, const std::string& node) const {
  if (!options_.placement->holds(node, group.id())) return false;
  if (!options_.placement->partial() || settled_) return true;
  const auto members = group.replica().core().membership().all();
  return std::ranges::any_of(members, [&](const auto& member) { return member.node == node; });
}

/// Whether it could go on with the group now, with the disk that it has.
bool Caretaker::goes_on(const GroupMember& group, const raft::Member& member) const {
  if (member.storage == group.replica().self().storage) return true;
  const auto seen = seen_.find(member.node);
  return seen != seen_.end() && seen->second.storage == member.storage &&
         is_near(group.replica().core(), member.storage, options_.near);
}

/// True when a node is a member that the placement doesn't name any more, and goes.
bool Caretaker::move_away(GroupMember& group) {
  const Placement& placement = *options_.placement;
  if (!placement.partial() || !settled_) return false;
  const raft::Membership& now = group.replica().core().membership();
  // One that isn't configured goes by command.
  const auto goes = [&](const raft::Member& member) {
    return std::ranges::binary_search(options_.nodes, member.node) &&
           !placement.holds(member.node, group.id());
  };
  std::vector<raft::Member> voters = now.voters;
  std::vector<raft::Member> learners = now.learners;
  std::erase_if(learners, goes);
  const size_t all_here = static_cast<size_t>(std::ranges::count_if(voters, [&](const auto& one) {
    return placement.holds(one.node, group.id()) && goes_on(group, one);
  }));
  // Before that the one that goes may be needed.
  if (all_here == placement.copies()) std::erase_if(voters, goes);
  if (voters == now.voters && learners == now.learners) return false;
  if (voters != now.voters)
    log_info("raft", fmt::format("partition {}: it has moved, and parts with nodes that it is not "
                                 "placed on any more",
                                 group.id().value()));
  ignore(group.change_members(std::move(voters), std::move(learners)),
         "what can't be done now is wanted in the next round again");
  return true;
}

/// True when a node that is to go is a member still.
bool Caretaker::part(GroupMember& group) {
  if (leaving_.empty()) return false;
  const raft::Membership& now = group.replica().core().membership();
  const auto leaves = [&](const raft::Member& member) { return leaving_.count(member.node) > 0; };
  std::vector<raft::Member> voters = now.voters;
  std::vector<raft::Member> learners = now.learners;
  std::erase_if(learners, leaves);
  std::erase_if(voters, leaves);
  // Those who stay must be able to go on by themselves, and be as many as copies are wanted.
  const auto going_on = static_cast<size_t>(std::ranges::count_if(
      voters, [&](const raft::Member& member) { return goes_on(group, member); }));
  if (voters.size() < options_.replication || going_on * 2 <= voters.size()) voters = now.voters;
  if (voters == now.voters && learners == now.learners)
    return std::any_of(voters.begin(), voters.end(), leaves);
  ignore(group.change_members(std::move(voters), std::move(learners)),
         "what can't be done now is wanted in the next round again");
  return true;
}

bool Caretaker::is_near(const raft::Core& core, raft::StorageId storage, uint64_t near) {
  const auto progress = core.progress().find(storage);
  return progress != core.progress().end() &&
         core.last() - std::min(core.last(), progress->second.match) <= near;
}

/// True when a member is not what it should be, whether something could be done about it or not.
bool Caretaker::replace_disks(GroupMember& group, int64_t now_ns) {
  const raft::Core& core = group.replica().core();
  const raft::Membership& now = core.membership();
  if (now.joint()) return true;
  std::vector<raft::Member> voters = now.voters;
  std::vector<raft::Member> learners = now.learners;
  bool wrong = false;
  for (const auto& [node, seen] : seen_) {
    if (now.is_voter(seen.storage)) continue;
    if (!may_come(group, node)) continue;
    wrong = true;
    if (now_ns - seen.since_ns < options_.replace_after_ms * 1'000'000) continue;
    const raft::Member fresh{node, seen.storage};
    std::erase_if(learners, [&](const auto& member) {
      return member.node == fresh.node && member.storage != fresh.storage;
    });
    const bool learns = std::find(learners.begin(), learners.end(), fresh) != learners.end();
    if (!learns) learners.push_back(fresh);
    if (!learns || !is_near(core, fresh.storage, options_.near)) continue;
    std::erase(learners, fresh);
    std::erase_if(voters, [&](const auto& member) { return member.node == fresh.node; });
    voters.push_back(fresh);
    log_info("raft", fmt::format("partition {}: node {} votes with its new disk from here on",
                                 group.id().value(), node));
  }
  const bool change = voters != now.voters || learners != now.learners;
  if (change)
    ignore(group.change_members(std::move(voters), std::move(learners)),
           "what can't be done now is wanted in the next round again");
  return wrong;
}

void Caretaker::prefer(GroupMember& group, int64_t now_ns) {
  const std::string& preferred = options_.placement->replicas(group.id()).front();
  const auto seen = seen_.find(preferred);
  if (seen == seen_.end() || now_ns < next_hand_over_ns_) return;
  if (now_ns - seen->second.since_ns < options_.prefer_after_ms * 1'000'000) return;
  const raft::Core& core = group.replica().core();
  if (!core.membership().is_voter(seen->second.storage)) return;
  if (!is_near(core, seen->second.storage, options_.near)) return;
  if (group.hand_over(seen->second.storage))
    next_hand_over_ns_ = now_ns + options_.hand_over_every_ms * 1'000'000;
}

void Caretaker::hand_over(GroupMember& group) {
  const raft::Core& core = group.replica().core();
  if (!group.replica().leads_surely()) return;
  const raft::Member* heir = nullptr;
  Offset most;
  for (const raft::Member& member : core.membership().voters) {
    const auto progress = core.progress().find(member.storage);
    if (progress == core.progress().end() || member.storage == group.replica().self().storage)
      continue;
    if (heir != nullptr && progress->second.match <= most) continue;
    heir = &member;
    most = progress->second.match;
  }
  if (heir != nullptr)
    ignore(group.hand_over(heir->storage), "then the others elect, as after a kill");
}

}  // namespace clickmill::cluster
