#include "raft/membership.h"

#include <algorithm>
#include <array>
#include <span>

namespace clickmill::raft {
namespace {

/// An empty set decides nothing: nobody may win by it.
bool majority(const std::vector<Member>& set, const std::function<bool(StorageId)>& does) {
  const auto count = std::count_if(set.begin(), set.end(),
                                   [&](const Member& member) { return does(member.storage); });
  return static_cast<size_t>(count) > set.size() / 2;
}

Offset agreed_in(const std::vector<Member>& set, const std::function<Offset(StorageId)>& reached) {
  if (set.empty()) return Offset(0);
  // Asked with every acknowledgement, and a group is of few.
  std::array<Offset, 8> few;
  std::vector<Offset> many(set.size() <= few.size() ? 0 : set.size());
  const std::span<Offset> offsets(many.empty() ? few.data() : many.data(), set.size());
  std::transform(set.begin(), set.end(), offsets.begin(),
                 [&](const Member& member) { return reached(member.storage); });
  std::sort(offsets.begin(), offsets.end(), std::greater<>());
  return offsets[set.size() / 2];
}

}  // namespace

bool Membership::holds(const std::vector<Member>& members, StorageId storage) {
  return std::any_of(members.begin(), members.end(),
                     [&](const Member& member) { return member.storage == storage; });
}

bool Membership::is_voter(StorageId storage) const {
  return holds(voters, storage) || holds(leaving, storage);
}

bool Membership::contains(StorageId storage) const {
  return is_voter(storage) || holds(learners, storage);
}

std::vector<Member> Membership::all() const {
  std::vector<Member> out;
  each([&](const Member& member) { out.push_back(member); });
  return out;
}

const Member* Membership::find(StorageId storage) const {
  for (const auto* set : {&voters, &leaving, &learners}) {
    for (const Member& member : *set) {
      if (member.storage == storage) return &member;
    }
  }
  return nullptr;
}

bool has_quorum(const Membership& membership, const std::function<bool(StorageId)>& does) {
  return majority(membership.voters, does) &&
         (!membership.joint() || majority(membership.leaving, does));
}

Outcome outcome_of(const Membership& membership,
                   const std::function<std::optional<bool>(StorageId)>& answer) {
  if (has_quorum(membership, [&](StorageId storage) { return answer(storage).value_or(false); }))
    return Outcome::won;
  const bool still_possible =
      has_quorum(membership, [&](StorageId storage) { return answer(storage).value_or(true); });
  return still_possible ? Outcome::open : Outcome::lost;
}

Offset agreed_offset(const Membership& membership,
                     const std::function<Offset(StorageId)>& reached) {
  const Offset agreed = agreed_in(membership.voters, reached);
  return membership.joint() ? std::min(agreed, agreed_in(membership.leaving, reached)) : agreed;
}

}  // namespace clickmill::raft
