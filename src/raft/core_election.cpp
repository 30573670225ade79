// Who leads: Raft paper 5.2 and 5.4.1; pre-vote, dissertation 9.6; hand-over, 3.10.
#include <algorithm>

#include "raft/core.h"

namespace clickmill::raft {

/// Begins to follow in `term`, or goes on in it; what this member led or asked for is over.
void Core::follow(Term term, StorageId leader) {
  if (term > hard_.term) {
    set_hard_state({term, StorageId(0)});
    // What was to be said in the term before is said by nobody any more.
    held_.clear();
    verified_ = Offset(0);
    read_seen_ = 0;
    leader_ = StorageId(0);
    leader_is_live_ = false;
  }
  if (leader != StorageId(0)) leader_ = leader;
  if (role_ == Role::leader) leader_ = leader;
  role_ = Role::follower;
  votes_.clear();
  progress_.clear();
  reads_.clear();
  no_op_wanted_ = false;
  membership_wanted_.reset();
  heir_ = StorageId(0);
}

/// A node's claim to lead is followed like an append of that term.
void Core::follow_claims(const std::function<Sight(const Member&)>& sight_of) {
  for (const Member& member : membership().all()) {
    if (member.storage == self_.storage) continue;
    const Sight sight = sight_of(member);
    if (!sight.heard || sight.leads == Term(0)) continue;
    // A leader of the past would go on for ever without me: it learns the present term.
    if (sight.leads < hard_.term) {
      send(member.storage, AppendAnswer{});
      continue;
    }
    if (sight.leads == hard_.term && leader_ == member.storage) continue;
    follow(sight.leads, member.storage);
  }
}

void Core::tick_election(uint32_t rank, uint32_t random) {
  if (leader_is_live_) {
    silent_ticks_ = delay_ticks_ = tries_ = 0;
    if (role_ != Role::follower) follow(hard_.term, StorageId(0));
    return;
  }
  if (!permit_.lead || !may_campaign()) return;
  // Nobody else could win, so there is nobody to wait for.
  const bool alone = membership().voters.size() == 1 && !membership().joint() &&
                     membership().is_voter(self_.storage);
  if (alone) return role_ == Role::follower ? campaign(true) : void();
  if (delay_ticks_ == 0) {
    // Ranks part the first tries, chance and doubling the later ones.
    const uint32_t chance = random % (tries_ == 0 ? 2 : 4);
    const uint32_t drawn = (3 * rank + 1 + chance) << std::min(tries_, 5U);
    delay_ticks_ = std::min(drawn, options_.delay_ticks_most);
  }
  if (++silent_ticks_ < delay_ticks_) return;
  silent_ticks_ = delay_ticks_ = 0;
  ++tries_;
  campaign(true);
}

/// Who is left out by an entry that is not committed yet may be the only one that has it, and
/// still be needed to bring it about (dissertation 4.2.2).
bool Core::may_campaign() const {
  return permit_.vote &&
         std::any_of(memberships_.begin(), memberships_.end(),
                     [&](const auto& entry) { return entry.second->is_voter(self_.storage); });
}

void Core::campaign(bool pre) {
  if (!may_campaign()) return;
  votes_.clear();
  leader_ = StorageId(0);
  const Term term = hard_.term + 1;
  if (pre) {
    role_ = Role::pre_candidate;
    votes_[self_.storage] = true;
  } else {
    role_ = Role::candidate;
    held_.clear();
    verified_ = Offset(0);
    read_seen_ = 0;
    // The own vote counts when the disk has it, like anyone's.
    set_hard_state({term, self_.storage});
  }
  for (const Member& member : membership().all()) {
    if (member.storage == self_.storage || !membership().is_voter(member.storage)) continue;
    send(member.storage, term, VoteRequest{pre, heads_.last(), heads_.last_term()});
  }
  count_votes();
}

void Core::count_votes() {
  const auto answer = [&](StorageId storage) -> std::optional<bool> {
    const auto vote = votes_.find(storage);
    return vote == votes_.end() ? std::nullopt : std::optional(vote->second);
  };
  switch (outcome_of(membership(), answer)) {
    case Outcome::open: return;
    case Outcome::lost: return follow(hard_.term, StorageId(0));
    case Outcome::won: break;
  }
  if (role_ == Role::pre_candidate) return campaign(false);
  lead();
}

void Core::lead() {
  role_ = Role::leader;
  leader_ = self_.storage;
  votes_.clear();
  silent_ticks_ = delay_ticks_ = tries_ = deaf_ticks_ = 0;
  uncommitted_bytes_ = 0;
  tells_committed_ = options_.tells_at_once;
  first_of_term_ = heads_.last() + 1;
  no_op_wanted_ = true;
  progress_.clear();
  keep_progress_of_members();
}

/// Paper 5.4.1.
bool Core::is_newer_than_mine(const VoteRequest& request) const {
  return std::pair(request.last_term, request.last) >= std::pair(heads_.last_term(), heads_.last());
}

void Core::on_vote_request(const Message& message, const VoteRequest& request) {
  const Term term = message.term;
  if (request.pre) {
    const bool free = term > hard_.term ||
                      (term == hard_.term && hard_.vote == StorageId(0) && leader_ == StorageId(0));
    const bool has_leader = leader_is_live_ || role_ == Role::leader;
    const bool granted = permit_.vote && free && !has_leader && is_newer_than_mine(request);
    return send(message.from, granted ? term : hard_.term, VoteAnswer{true, granted});
  }
  // A live leader doesn't matter here: the pre-vote has asked for it.
  const bool undecided = role_ == Role::follower || role_ == Role::pre_candidate;
  const bool granted = permit_.vote && term == hard_.term && undecided &&
                       (hard_.vote == StorageId(0) || hard_.vote == message.from) &&
                       is_newer_than_mine(request);
  if (granted) {
    if (hard_.vote != message.from) set_hard_state({term, message.from});
    // Only who gave its vote waits anew: a refusal must not hold up a better candidate.
    silent_ticks_ = delay_ticks_ = 0;
    role_ = Role::follower;
  }
  send(message.from, VoteAnswer{false, granted});
}

void Core::on_vote_answer(const Message& message, const VoteAnswer& answer) {
  const Role asked = answer.pre ? Role::pre_candidate : Role::candidate;
  if (role_ != asked) return;
  const Term term = answer.pre && answer.granted ? hard_.term + 1 : hard_.term;
  if (message.term != term) return;
  votes_[message.from] = answer.granted;
  count_votes();
}

}  // namespace clickmill::raft
