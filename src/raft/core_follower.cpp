// The log of a member that doesn't lead: Raft paper 5.3.
#include <algorithm>

#include "raft/core.h"

namespace clickmill::raft {

/// What may be acknowledged. What is committed stands in the log of every later leader, so it
/// needs no proof of its own.
Offset Core::acked() const { return std::min(std::max(verified_, committed_), durable_); }

void Core::acknowledge(Refusal refusal, Offset prev, Term prev_term) {
  AppendAnswer answer;
  // Who may have forgotten a promise takes entries and promises nothing.
  if (permit_.vote) answer.acked = acked();
  answer.refusal = refusal;
  if (refusal == Refusal::log) {
    answer.hint = std::max(heads_.end_not_after(prev, prev_term).value_or(committed_), committed_);
    answer.hint_term = heads_.term_of(answer.hint).value_or(prev_term);
  }
  answer.committed = committed_;
  answer.read_id = read_seen_;
  send(leader_, answer);
}

/// Contiguous behind prev, of terms that never fall and are not above the message's.
bool Core::is_well_formed(const Message& message, const Append& append) const {
  Offset end = append.prev;
  Term term = append.prev_term;
  for (const EntryHead& head : append.entries) {
    const bool fits = head.first == end + 1 && head.count > 0 && head.last() > end;
    if (!fits || head.term < term) return false;
    end = head.last();
    term = head.term;
  }
  return term <= message.term;
}

void Core::on_append(const Message& message, const Append& append, const Room& room) {
  if (role_ == Role::leader || !is_well_formed(message, append)) return;
  follow(message.term, message.from);
  silent_ticks_ = delay_ticks_ = 0;
  if (append.match > durable_) {
    out_.forgot = true;
    return;
  }
  const bool read_is_new = read_seen_ != append.read_id;
  read_seen_ = append.read_id;
  // What is committed here is equal in the leader's log, whatever its terms were.
  const bool joins = append.prev <= committed_ || heads_.term_of(append.prev) == append.prev_term;
  if (!joins) return acknowledge(Refusal::log, append.prev, append.prev_term);
  const Refusal refusal = take_entries(append, room);
  const Offset committed = std::min(append.committed, std::max(verified_, committed_));
  if (committed > committed_) {
    committed_ = committed;
    committed_moved();
  }
  // The news of the disk will say more, and soon: one answer to an entry instead of two.
  const bool disk_answers = refusal == Refusal::none && !append.entries.empty() &&
                            std::max(verified_, committed_) > durable_;
  if (disk_answers && !read_is_new) return;
  acknowledge(refusal, append.prev, append.prev_term);
}

/// Paper 5.3: what conflicts goes, what is new comes. Raises verified_ as far as it got.
Refusal Core::take_entries(const Append& append, const Room& room) {
  Offset end = append.prev;
  Refusal refusal = Refusal::none;
  for (const EntryHead& head : append.entries) {
    if (head.last() <= committed_ || heads_.term_of(head.last()) == head.term) {
      end = head.last();
      continue;
    }
    // Never into what is committed: only nonsense could ask for it.
    if (head.first <= committed_) return Refusal::log;
    if (!room.journal) refusal = Refusal::full;
    // A slow clock must still learn what the others agreed on.
    if (head.append_ms > room.append_ms_most && head.last() > append.committed)
      refusal = Refusal::clock;
    if (refusal != Refusal::none) break;
    // Two entries of one term that overlap are no leader's.
    const EntryHead* mine = heads_.holding(head.first);
    if (mine != nullptr && mine->first != head.first) return Refusal::log;
    if (mine != nullptr) truncate_from(head.first);
    heads_.append(head);
    push_membership(head);
    out_.append.push_back(head);
    end = head.last();
  }
  verified_ = std::max(verified_, std::min(end, heads_.last()));
  return refusal;
}

/// Durable and verified fall with the log at once, or the next answer would vouch for what is
/// gone; and news of the disk from before are of another life.
void Core::truncate_from(Offset first) {
  heads_.truncate_from(first);
  durable_ = std::min(durable_, heads_.last());
  verified_ = std::min(verified_, heads_.last());
  ++life_;
  while (memberships_.size() > 1 && memberships_.back().first >= first) memberships_.pop_back();
  // Several Appends may come before the output is taken: the lowest cut covers them all.
  std::erase_if(out_.append, [&](const EntryHead& head) { return head.first >= first; });
  out_.truncate_from = std::min(out_.truncate_from.value_or(first), first);
}

/// An entry that begins before it, and holds it, is another one too.
void Core::cut(Offset first) {
  if (role_ == Role::leader || first <= committed_ || first > heads_.last()) return;
  truncate_from(heads_.holding(first)->first);
}

void Core::push_membership(const EntryHead& head) {
  if (head.membership) memberships_.emplace_back(head.last(), head.membership);
}

}  // namespace clickmill::raft
