// The leader's part: Raft paper 5.3 and 5.4.2; check-quorum, dissertation 6.2; read index,
// 6.4; pipelining, 10.2; joint consensus, 4.3.
#include <algorithm>

#include "base/assert.h"
#include "raft/core.h"

namespace clickmill::raft {

Result<Core::Place> Core::place() const {
  if (role_ != Role::leader) return Error(Errc::not_leader, "another member leads this group");
  if (heir_ != StorageId(0)) return Error(Errc::busy, "the lead is being handed over");
  if (uncommitted_bytes_ > options_.uncommitted_bytes)
    return Error(Errc::busy, "too much waits for a quorum");
  return Place{heads_.last() + 1, hard_.term};
}

void Core::appended(EntryHead head) {
  CM_ASSERT(role_ == Role::leader && head.term == hard_.term && head.first == heads_.last() + 1);
  no_op_wanted_ = false;
  uncommitted_bytes_ += head.bytes;
  push_membership(head);
  const bool changes = head.membership != nullptr;
  heads_.append(std::move(head));
  if (!changes) return;
  membership_wanted_.reset();
  keep_progress_of_members();
}

/// A membership counts from its append on, so its members are sent to from then on.
void Core::keep_progress_of_members() {
  std::erase_if(progress_, [&](const auto& entry) { return !membership().contains(entry.first); });
  for (const Member& member : membership().all()) {
    const auto [entry, is_new] = progress_.try_emplace(member.storage);
    if (is_new) entry->second.next = heads_.last() + 1;
  }
}

Status Core::change(std::vector<Member> voters, std::vector<Member> learners) {
  if (role_ != Role::leader) return Error(Errc::not_leader, "another member leads this group");
  if (voters.empty()) return Error(Errc::invalid, "a group needs a voter");
  if (!leads_surely()) return Error(Errc::busy, "nothing of this term is committed yet");
  if (change_is_open() || membership_wanted_)
    return Error(Errc::busy, "another change of members is under way");
  Membership wanted{std::move(voters), {}, std::move(learners)};
  // Learners decide nothing: they come and go in one step.
  if (wanted.voters != membership().voters) wanted.leaving = membership().voters;
  membership_wanted_ = std::make_shared<Membership>(std::move(wanted));
  return {};
}

/// Whoever leads when the joint membership is committed ends the change.
void Core::want_end_of_change() {
  if (!leads_surely() || memberships_.size() > 1) return;
  if (membership().joint()) {
    auto wanted = std::make_shared<Membership>(membership());
    wanted->leaving.clear();
    membership_wanted_ = std::move(wanted);
  } else if (!membership().is_voter(self_.storage) && heir_ == StorageId(0)) {
    // It has led up to here for the others only: the one who has most goes on.
    const auto most =
        std::max_element(membership().voters.begin(), membership().voters.end(),
                         [&](const Member& a, const Member& b) {
                           return progress_[a.storage].match < progress_[b.storage].match;
                         });
    heir_ = most->storage;
    heir_told_ = false;
    hand_over_ticks_ = 0;
  }
}

Status Core::hand_over(StorageId heir) {
  if (role_ != Role::leader) return Error(Errc::not_leader, "another member leads this group");
  if (heir == self_.storage || !membership().is_voter(heir))
    return Error(Errc::invalid, "the heir is no other voter of this group");
  heir_ = heir;
  heir_told_ = false;
  hand_over_ticks_ = 0;
  return {};
}

/// Not before the heir has the last entry: with one less it would lose its own election.
void Core::hand_over_if_ready() {
  if (heir_ == StorageId(0) || heir_told_ || no_op_wanted_) return;
  const auto progress = progress_.find(heir_);
  if (progress == progress_.end() || progress->second.match != heads_.last()) return;
  heir_told_ = true;
  send(heir_, TakeOver{});
}

Result<uint64_t> Core::read() {
  if (role_ != Role::leader) return Error(Errc::not_leader, "another member leads this group");
  reads_.push_back({++last_read_, committed_});
  answer_reads();
  return last_read_;
}

/// A read is good when a quorum has answered in this term something sent after it was asked,
/// and the leader knows what is committed.
void Core::answer_reads() {
  if (!leads_surely()) return;
  while (!reads_.empty()) {
    Read& read = reads_.front();
    // Asked before the first commit of this term: only now it is known what was committed.
    read.committed = std::max(read.committed, first_of_term_);
    const bool confirmed = has_quorum(membership(), [&](StorageId storage) {
      return storage == self_.storage || progress_[storage].read_acked >= read.id;
    });
    if (!confirmed) return;
    out_.reads.emplace_back(read.id, read.committed);
    reads_.pop_front();
  }
}

void Core::tick_leader(const std::function<Sight(const Member&)>& sight_of) {
  std::map<StorageId, bool> echoes;
  for (const Member& member : membership().all()) {
    echoes[member.storage] = member.storage == self_.storage || sight_of(member).echoes;
  }
  const bool heard = has_quorum(membership(), [&](StorageId storage) { return echoes[storage]; });
  deaf_ticks_ = heard ? 0 : deaf_ticks_ + 1;
  // A leader that nobody answers must fall silent, or it keeps others from electing one.
  if (!permit_.lead || !permit_.vote || deaf_ticks_ >= options_.deaf_ticks)
    return follow(hard_.term, StorageId(0));
  if (heir_ != StorageId(0) && ++hand_over_ticks_ >= options_.hand_over_ticks) {
    heir_ = StorageId(0);
    want_end_of_change();
  }
  for (auto& [storage, progress] : progress_) {
    const bool knows = progress.committed_acked >= std::min(committed_, progress.match) &&
                       progress.read_acked >= last_read_;
    const bool waits = progress.probing || !progress.window.empty() || !knows ||
                       progress.mode == Progress::Mode::behind;
    if (!waits) progress.idle_ticks = 0;
    if (!waits) continue;
    // Nothing at all may be known of it: then the oldest end in memory asks best.
    if (++progress.idle_ticks >= options_.stuck_ticks)
      progress.probe_behind(std::max(progress.match, heads_.base()));
  }
  tells_committed_ = true;
}

void Core::link_is_new(StorageId storage) {
  const auto progress = progress_.find(storage);
  if (progress == progress_.end()) return;
  progress->second.committed_acked = Offset(0);
  progress->second.probe_behind(std::max(progress->second.match, heads_.base()));
}

void Core::on_append_answer(const Message& message, const AppendAnswer& answer) {
  const auto found = progress_.find(message.from);
  if (role_ != Role::leader || found == progress_.end()) return;
  Progress& progress = found->second;
  // Beyond the own log there is nothing to acknowledge.
  if (answer.acked > heads_.last()) return;
  progress.read_acked = std::max(progress.read_acked, std::min(answer.read_id, last_read_));
  progress.refuses_clock = answer.refusal == Refusal::clock;
  progress.committed_acked = std::max(progress.committed_acked, answer.committed);
  progress.acked(answer.acked);
  if (answer.refusal == Refusal::none) {
    progress.probing = false;
    // Who has not come far enough yet is asked again by the ticks.
    const bool behind = progress.mode == Progress::Mode::behind && progress.match < heads_.base();
    if (!behind) progress.mode = Progress::Mode::stream;
  } else {
    on_refusal(progress, answer);
    if (role_ != Role::leader) return;
  }
  advance_commit();
  answer_reads();
}

void Core::on_refusal(Progress& progress, const AppendAnswer& answer) {
  if (answer.refusal == Refusal::log) {
    const auto end = heads_.end_not_after(answer.hint, answer.hint_term);
    progress.probe_behind(end.value_or(progress.match));
    // The logs part below what is in memory: send_entries finds that it can't go on.
    if (!end) progress.next = std::max(progress.match + 1, heads_.base());
    return;
  }
  // Not now: tried again when the ticks say so.
  progress.probe_behind(progress.match);
  progress.probing = true;
  const bool clock_is_fine = has_quorum(membership(), [&](StorageId storage) {
    return storage == self_.storage || !progress_[storage].refuses_clock;
  });
  if (!clock_is_fine) follow(hard_.term, StorageId(0));
}

/// Sends what this member lacks, as far as the window goes.
void Core::replicate(const Member& member) {
  Progress& progress = progress_[member.storage];
  while (send_entries(member, progress)) {
  }
}

/// One message; true when another may follow at once.
bool Core::send_entries(const Member& member, Progress& progress) {
  const bool probe = progress.mode == Progress::Mode::probe;
  if (progress.mode == Progress::Mode::behind || (probe && progress.probing)) return false;
  const Offset prev = progress.next - 1;
  if (prev < heads_.base()) {
    progress.mode = Progress::Mode::behind;
    send(member.storage, Behind{heads_.base()});
    return false;
  }
  const auto has_news = [&](Offset committed) {
    return (tells_committed_ && committed > progress.committed_sent) ||
           progress.read_sent < last_read_;
  };
  // Asked after everything that happens, and nothing is to be said mostly.
  const bool has_entries = prev < heads_.last() && progress.window_bytes < options_.window_bytes;
  if (!has_entries && !probe && !has_news(std::min(committed_, std::max(progress.match, prev))))
    return false;
  Append append{prev, *heads_.term_of(prev), {}, Offset(0), progress.match, last_read_};
  uint32_t bytes = 0;
  Offset end = prev;
  while (end < heads_.last() && progress.window_bytes + bytes < options_.window_bytes &&
         (append.entries.empty() || bytes < options_.message_bytes)) {
    append.entries.push_back(*heads_.holding(end + 1));
    bytes += append.entries.back().bytes;
    end = append.entries.back().last();
  }
  append.committed = std::min(committed_, std::max(progress.match, end));
  if (append.entries.empty() && !has_news(append.committed) && !probe) return false;
  progress.committed_sent = append.committed;
  progress.read_sent = last_read_;
  if (end > prev) progress.sent(end, bytes);
  progress.probing = probe;
  send(member.storage, std::move(append));
  return !probe && end > prev && end < heads_.last();
}

void Core::advance_commit() {
  const Offset agreed = agreed_offset(membership(), [&](StorageId storage) {
    return storage == self_.storage ? durable_ : progress_[storage].match;
  });
  // Paper 5.4.2: counting copies proves nothing about another term's entries.
  if (agreed <= committed_ || heads_.term_of(agreed) != hard_.term) return;
  for (Offset at = committed_; at < agreed;) {
    const EntryHead* head = heads_.holding(at + 1);
    if (head->term == hard_.term) uncommitted_bytes_ -= head->bytes;
    at = head->last();
  }
  committed_ = agreed;
  committed_moved();
  want_end_of_change();
  answer_reads();
}

/// Of the committed memberships only the last is ever asked for.
void Core::committed_moved() {
  while (memberships_.size() > 1 && memberships_[1].first <= committed_) memberships_.pop_front();
}

}  // namespace clickmill::raft
