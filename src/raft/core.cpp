#include "raft/core.h"

#include <algorithm>

#include "base/assert.h"

namespace clickmill::raft {

Core::Core(Member self, Restored restored, Options options)
    : self_(std::move(self)),
      options_(options),
      hard_(restored.hard),
      durable_hard_(restored.hard),
      heads_(restored.base, restored.base_term),
      committed_(std::max(restored.base, restored.committed)) {
  memberships_.emplace_back(restored.base,
                            std::make_shared<Membership>(std::move(restored.membership)));
  for (EntryHead& head : restored.entries) {
    CM_ASSERT(head.first == heads_.last() + 1 && head.term >= heads_.last_term());
    push_membership(head);
    heads_.append(std::move(head));
  }
  durable_ = heads_.last();
  // A hint may be above what the disk still has; what it has of it is committed.
  committed_ = std::min(committed_, durable_);
  committed_moved();
  if (heads_.last_term() > hard_.term) hard_ = durable_hard_ = {heads_.last_term(), StorageId(0)};
}

/// Nothing that names this term or this vote leaves before the disk has it.
void Core::send(StorageId to, Term term, decltype(Message::body) body) {
  Message message{self_.storage, to, term, std::move(body)};
  auto& queue = durable_hard_ == hard_ ? out_.messages : held_;
  queue.push_back(std::move(message));
}

void Core::set_hard_state(HardState hard) {
  hard_ = hard;
  out_.hard_state = hard;
}

void Core::hard_state_durable(const HardState& hard) {
  // The disk's news come in order, so what it has never goes back.
  durable_hard_ = hard;
  if (hard != hard_) return;
  out_.messages.insert(out_.messages.end(), std::make_move_iterator(held_.begin()),
                       std::make_move_iterator(held_.end()));
  held_.clear();
  if (role_ == Role::candidate) {
    votes_[self_.storage] = true;
    count_votes();
  }
}

void Core::log_durable(Offset last, uint64_t life) {
  // Of another life: it may speak of bytes that have been cut and written again since.
  if (life != life_) return;
  const Offset before = acked();
  durable_ = std::max(durable_, std::min(last, heads_.last()));
  if (role_ == Role::leader) return advance_commit();
  if (acked() > before && leader_ != StorageId(0)) {
    acknowledge(Refusal::none, Offset(0), Term(0));
  }
}

void Core::step(const Message& message, const Room& room) {
  if (message.to != self_.storage || message.from == self_.storage) return;
  const auto* vote = std::get_if<VoteRequest>(&message.body);
  const auto* vote_answer = std::get_if<VoteAnswer>(&message.body);
  const bool asks_only = (vote != nullptr && vote->pre) ||
                         (vote_answer != nullptr && vote_answer->pre && vote_answer->granted);
  if (message.term > hard_.term && !asks_only) follow(message.term, StorageId(0));
  if (vote != nullptr) return on_vote_request(message, *vote);
  if (vote_answer != nullptr) return on_vote_answer(message, *vote_answer);
  if (message.term < hard_.term) {
    // A leader of the past learns the present term by any answer.
    if (!std::holds_alternative<AppendAnswer>(message.body)) send(message.from, AppendAnswer{});
    return;
  }
  if (const auto* append = std::get_if<Append>(&message.body)) {
    on_append(message, *append, room);
  } else if (const auto* answer = std::get_if<AppendAnswer>(&message.body)) {
    on_append_answer(message, *answer);
  } else if (const auto* behind = std::get_if<Behind>(&message.body)) {
    if (role_ == Role::leader) return;
    follow(message.term, message.from);
    if (behind->at_least > committed_) {
      out_.behind = *behind;
    } else {
      acknowledge(Refusal::none, Offset(0), Term(0));
    }
  } else if (std::holds_alternative<TakeOver>(message.body)) {
    if (role_ == Role::follower && permit_.lead) campaign(false);
  }
}

void Core::tick(const std::function<Sight(const Member&)>& sight_of, Permit permit, uint32_t rank,
                uint32_t random) {
  permit_ = permit;
  if (role_ == Role::leader) return tick_leader(sight_of);
  follow_claims(sight_of);
  leader_is_live_ = false;
  for (const Member& member : membership().all()) {
    if (member.storage != leader_) continue;
    const Sight sight = sight_of(member);
    leader_is_live_ = sight.heard && sight.leads == hard_.term;
  }
  tick_election(rank, random);
}

void Core::installed(Offset end, Term term, const Membership& membership) {
  if (end <= committed_) return;
  if (heads_.term_of(end) == term) {
    durable_ = std::max(durable_, end);
    committed_ = end;
    committed_moved();
    heads_.drop_upto(end);
  } else {
    ++life_;
    heads_.reset(end, term);
    durable_ = committed_ = verified_ = end;
    memberships_.clear();
    memberships_.emplace_back(end, std::make_shared<Membership>(membership));
  }
  if (leader_ != StorageId(0)) acknowledge(Refusal::none, Offset(0), Term(0));
}

Core::Output Core::take_output() {
  if (role_ == Role::leader) {
    membership().each([this](const Member& member) {
      if (member.storage != self_.storage) replicate(member);
    });
    tells_committed_ = options_.tells_at_once;
    hand_over_if_ready();
    out_.no_op = no_op_wanted_;
    out_.membership = membership_wanted_;
  }
  return std::exchange(out_, {});
}

}  // namespace clickmill::raft
