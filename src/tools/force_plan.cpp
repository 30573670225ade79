#include "tools/force_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "base/checksum.h"
#include "cluster/placement.h"

namespace clickmill::tools {
namespace {

using Fate = ForcePlan::Group::Fate;

// Beyond all that a partition whose end nobody knows can have given away.
constexpr uint64_t kOffsetsBeside = uint64_t{1} << 40;

Status check_alike(const std::vector<Survey>& surveys) {
  const Survey& first = surveys.front();
  const auto differs = [](const Survey& one, const std::string& what) {
    return Error(Errc::invalid, fmt::format("the survey of {} {}", one.self.node, what));
  };
  for (size_t i = 0; i < surveys.size(); ++i) {
    const Survey& one = surveys[i];
    if (one.groups.size() != size_t{one.founded.partitions} + 1)
      return differs(one, "does not tell of every partition");
    if (i > 0 && one.self.node == surveys[i - 1].self.node) return differs(one, "is there twice");
    if (one.founded.cluster_id != first.founded.cluster_id)
      return differs(
          one, fmt::format("is of cluster {:016x}, that of {} of {:016x}", one.founded.cluster_id,
                           first.self.node, first.founded.cluster_id));
    if (one.founded.epoch != first.founded.epoch ||
        one.founded.epoch_random != first.founded.epoch_random)
      return differs(
          one,
          fmt::format("is of epoch {}, that of {} of {}{}; who was left behind "
                      "comes back by `clickmill cluster rejoin`",
                      one.founded.epoch, first.self.node, first.founded.epoch,
                      one.founded.epoch == first.founded.epoch ? ", which began elsewhere" : ""));
    if (one.founded.partitions != first.founded.partitions)
      return differs(one, "tells of another number of partitions");
  }
  return {};
}

/// A member by what its own log says.
bool is_member(const Survey& survey, size_t group) {
  return survey.groups[group].members.contains(survey.self.storage);
}

class Planning {
 public:
  explicit Planning(std::vector<Survey> surveys) : surveys_(std::move(surveys)) {}

  ForcePlan plan() {
    const cluster::Founded& founded = surveys_.front().founded;
    ForcePlan plan;
    std::string all;
    std::set<std::string> gone;
    for (const Survey& one : surveys_) {
      plan.survivors.push_back(one.self.node);
      all += to_json(one);
      for (const ForcedGroup& group : one.groups) {
        ends_at_ = std::max(ends_at_, group.last);
        for (const raft::Member& member : group.members.all()) gone.insert(member.node);
      }
    }
    for (const std::string& node : plan.survivors) gone.erase(node);
    plan.gone.assign(gone.begin(), gone.end());
    plan.epoch.number = founded.epoch + 1;
    plan.epoch.random = xxh64_of(all) | 1;
    for (size_t id = 0; id < surveys_.front().groups.size(); ++id) decide(id, plan);
    return plan;
  }

 private:
  bool survives(raft::StorageId storage) const {
    return std::ranges::any_of(
        surveys_, [&](const Survey& one) { return one.self.storage == storage && !one.restored; });
  }

  /// Of the members' logs the one that holds most; null: there is none.
  const Survey* newest(size_t id, bool usable) const {
    const Survey* best = nullptr;
    for (const Survey& one : surveys_) {
      const ForcedGroup& group = one.groups[id];
      if (!is_member(one, id) || (usable && !group.usable)) continue;
      const auto end_of = [id](const Survey& of) {
        return std::pair(of.groups[id].last_term, of.groups[id].last);
      };
      if (best == nullptr || end_of(one) > end_of(*best)) best = &one;
    }
    return best;
  }

  void decide(size_t id, ForcePlan& plan) const {
    ForcePlan::Group& group = plan.groups.emplace_back();
    const bool of_ads = id + 1 == surveys_.front().groups.size();
    const Survey* const knows = newest(id, false);
    Offset common;
    for (const Survey& one : surveys_) {
      if (is_member(one, id)) common = std::max(common, one.groups[id].committed);
    }
    plan.epoch.committed.push_back(common);
    if (knows != nullptr && raft::has_quorum(knows->groups[id].members,
                                             [this](auto storage) { return survives(storage); }))
      return;
    Term term;
    for (const Survey& one : surveys_) term = std::max(term, one.groups[id].term);
    group.order.term = Term(term.value() + kTermsAhead);
    const Survey* const from = newest(id, true);
    if (from == nullptr || (from->groups[id].last == Offset(0) && !of_ads)) {
      plan.epoch.committed.back() = Offset(0);
      return begin_anew(id, group);
    }
    const ForcedGroup& copy = from->groups[id];
    plan.epoch.committed.back() = copy.committed;
    group.fate = Fate::forced;
    group.by = from->self.node;
    group.newest = copy.newest;
    group.uncertain = Offset(copy.last.value() - std::min(copy.last, copy.committed).value());
    group.order.members.voters = {from->self};
    for (const Survey& one : surveys_) {
      if (&one != from && is_member(one, id)) group.order.members.learners.push_back(one.self);
    }
    // Behind offsets that nobody has: where another one's log is longer, and can't be gone on
    // from, its entries must never be taken for these.
    const ForcedGroup& most = knows->groups[id];
    const bool ends_earlier =
        std::pair(most.last_term, most.last) != std::pair(copy.last_term, copy.last);
    group.order.leaves_out = from->restored || ends_earlier;
    if (ends_earlier) {
      const Offset end = most.last;
      group.longer = knows->self.node;
      group.given_up = Offset(end.value() - std::min(end, copy.last).value());
    }
  }

  void begin_anew(size_t id, ForcePlan::Group& group) const {
    group.fate = Fate::lost;
    std::vector<std::string> names;
    for (const Survey& one : surveys_) names.push_back(one.self.node);
    const cluster::Founded& founded = surveys_.front().founded;
    const cluster::Placement placement(names, founded.partitions, 1);
    group.by = placement.replicas(PartitionId(static_cast<uint32_t>(id))).front();
    const auto one = std::ranges::find(
        surveys_, group.by, [](const Survey& of) -> const auto& { return of.self.node; });
    group.order.members.voters = {one->self};
    group.order.empty_at = Offset(ends_at_.value() + kOffsetsBeside);
  }

  const std::vector<Survey> surveys_;
  Offset ends_at_;  ///< of all logs
};

}  // namespace

bool take_former_disks(std::vector<ForcedGroup>& groups, const raft::Member& self,
                       const std::vector<raft::StorageId>& former) {
  bool any = false;
  for (ForcedGroup& group : groups) {
    if (group.members.contains(self.storage) || group.last == Offset(0)) continue;
    auto& members = group.members;
    for (auto* const some : {&members.voters, &members.leaving, &members.learners}) {
      for (raft::Member& member : *some) {
        if (std::ranges::find(former, member.storage) == former.end()) continue;
        member = self;
        any = true;
      }
    }
  }
  return any;
}

std::vector<uint32_t> ForcePlan::of(Group::Fate fate) const {
  std::vector<uint32_t> ids;
  for (uint32_t id = 0; id < groups.size(); ++id) {
    if (groups[id].fate == fate) ids.push_back(id);
  }
  return ids;
}

std::vector<std::optional<GroupOrder>> ForcePlan::orders_of(const std::string& node) const {
  std::vector<std::optional<GroupOrder>> orders;
  for (const Group& group : groups) {
    const bool decides = group.fate != Fate::stays && group.by == node;
    orders.push_back(decides ? std::optional(group.order) : std::nullopt);
  }
  return orders;
}

Result<ForcePlan> plan_force(std::vector<Survey> surveys) {
  if (surveys.empty()) return Error(Errc::invalid, "no survey is given");
  std::ranges::sort(surveys, {}, [](const Survey& one) { return one.self.node; });
  TRY(check_alike(surveys));
  return Planning(std::move(surveys)).plan();
}

}  // namespace clickmill::tools
