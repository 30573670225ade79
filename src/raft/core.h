#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/result.h"
#include "raft/message.h"
#include "raft/progress.h"

// raft/: consensus on the order of opaque entries (Ongaro and Ousterhout 2014; Ongaro's
// dissertation). Knows no clicks, sockets, disks, threads, clocks or random source: messages,
// ticks and news of the disk come in, messages and orders to the disk go out, so that a test
// decides everything that may happen. Called by whoever owns a group, on its worker.
// Begin at Core; membership.h counts heads, entry_heads.h is the log as Core sees it,
// progress.h is what a leader knows of a member.

namespace clickmill::raft {

enum class Role : uint8_t { follower, pre_candidate, candidate, leader };

/// What must not be forgotten over a restart.
struct HardState {
  Term term;
  StorageId vote;  ///< given in `term`; 0: none
  friend bool operator==(const HardState&, const HardState&) = default;
};

/// What the node knows of a member's node besides this group's messages.
struct Sight {
  bool heard = false;   ///< its beat is young and the group's worker there runs
  bool echoes = false;  ///< and it answered a young beat of ours
  Term leads;           ///< the term in which it claims to lead this group; 0: it doesn't
};

/// One member of one Raft group.
///
/// The order of things is the caller's duty, and its only one:
///  1. step(), tick(), propose and the news of the disk in any order; then take_output().
///  2. The output's hard state, truncation and entries go to the journal in that order. What
///     can't be written stops this member: it must not be driven on as if it had been.
///  3. `messages` may leave at once: what depends on the disk is held back here until
///     hard_state_durable() and log_durable() say so.
/// A leader's own entries are written first and told then: place(), write, appended().
///
/// Differences from the paper: an entry spans several offsets; a leader is known alive by its
/// node (Sight), so there are no heartbeats here; a vote or an acknowledgement belongs to a
/// storage. Pre-vote, check-quorum, hand-over, read index and joint consensus are the
/// dissertation's.
/// Nothing that a message holds is asserted: nonsense is dropped.
/// Thread: worker.
class Core {
 public:
  struct Options {
    uint64_t message_bytes = 1 << 20;      ///< of payload in one Append
    uint64_t window_bytes = 4 << 20;       ///< on the way to one member
    uint64_t uncommitted_bytes = 8 << 20;  ///< beyond it proposals are refused
    uint32_t deaf_ticks = 16;              ///< without a quorum's echo a leader steps down
    uint32_t stuck_ticks = 6;              ///< without progress a member is probed again
    uint32_t hand_over_ticks = 16;         ///< then the leader goes on leading
    uint32_t delay_ticks_most = 40;        ///< between two tries to be elected
    /// What is committed is told at once; else it rides with entries and reads, or waits for a
    /// tick, or each entry would cost each follower two messages and their answers.
    bool tells_at_once = false;
  };
  /// What stands on the disk at a start; all of it is durable.
  struct Restored {
    HardState hard;
    Offset base;  ///< the end of what is sealed, or of the state that was installed
    Term base_term;
    Membership membership;           ///< in force at `base`
    std::vector<EntryHead> entries;  ///< behind it
    Offset committed;                ///< known then; at least `base`
  };
  Core(Member self, Restored restored, Options options);

  /// What this node can take in at present.
  struct Room {
    bool journal = true;              ///< entries can be written
    LogMs append_ms_most{INT64_MAX};  ///< later ones are refused unless they are committed
  };
  void step(const Message& message, const Room& room);

  /// What this node may do in this group at present.
  struct Permit {
    bool vote = false;  ///< vote and acknowledge: it has forgotten no promise
    bool lead = false;  ///< it is healthy enough
  };
  /// One step of time (50 ms). `rank`: 0 for the preferred leader; it delays the others'
  /// campaigns and refuses nobody. `random`: any bits.
  void tick(const std::function<Sight(const Member&)>& sight_of, Permit permit, uint32_t rank,
            uint32_t random);

  /// A link to this member's node is new: what was on its way may be gone, and the member may
  /// have started anew since.
  void link_is_new(StorageId storage);

  struct Place {
    Offset first;
    Term term;
  };
  /// Where the next entry of this leader goes. Errc::not_leader, or busy (too much is
  /// uncommitted, a hand-over is under way, or its first entry must come first).
  Result<Place> place() const;
  /// An entry was given to the journal at place(): the no-op that Output asked for, the change
  /// of members that it asked for, or anything else.
  void appended(EntryHead head);

  /// Begins to make `voters` and `learners` the members. Errc::not_leader, busy (another
  /// change is under way, or nothing of this term is committed yet), invalid (no voters).
  Status change(std::vector<Member> voters, std::vector<Member> learners);
  /// Leads no more as soon as `heir` has everything. Errc::not_leader, invalid (no voter).
  Status hand_over(StorageId heir);
  /// The id of a read that Output will answer with an offset: who has applied that much knows
  /// everything that was committed before the call. Errc::not_leader.
  Result<uint64_t> read();

  /// Entries up to `last` are on this disk, as they were in `life`.
  void log_durable(Offset last, uint64_t life);
  void hard_state_durable(const HardState& hard);
  /// What stands at or before `end` can no longer be sent from memory. Ignored beyond
  /// committed().
  void sealed_upto(Offset end) { heads_.drop_upto(std::min(end, committed_)); }
  /// Of a follower: what begins at `first` differs from what a leader has committed.
  void cut(Offset first);
  /// A state or blocks up to `end` are here and durable. Entries behind it stay if the log has
  /// that very end; else they go.
  void installed(Offset end, Term term, const Membership& membership);

  struct Output {
    std::optional<HardState> hard_state;
    std::optional<Offset> truncate_from;
    std::vector<EntryHead> append;  ///< of the last Append, in order
    std::vector<Message> messages;
    /// Wanted of a leader, at place(); asked for again until it comes.
    bool no_op = false;
    std::shared_ptr<const Membership> membership;
    /// The leader has no more in memory what this member lacks; see Behind.
    std::optional<Behind> behind;
    std::vector<std::pair<uint64_t, Offset>> reads;
    /// This disk lacks what it acknowledged: the member must come back under a new storage id.
    bool forgot = false;
  };
  Output take_output();

  Role role() const { return role_; }
  Term term() const { return hard_.term; }
  StorageId leader() const { return leader_; }  ///< 0: none known
  Offset last() const { return heads_.last(); }
  Offset committed() const { return committed_; }
  Offset durable() const { return durable_; }
  /// How far this term's leader has proved the log equal to its own; 0: it hasn't yet.
  Offset verified() const { return verified_; }
  /// Whether a leader was heard of at the last tick.
  bool leader_is_live() const { return leader_is_live_ || role_ == Role::leader; }
  /// Raised by everything that takes entries away; rides with each entry to the disk.
  uint64_t life() const { return life_; }
  /// In force: of the last entry that changes it, committed or not.
  const Membership& membership() const { return *memberships_.back().second; }
  /// Whether a change of it is under way.
  bool is_changing() const { return change_is_open() || membership_wanted_ != nullptr; }
  /// Where the entry of the one in force stands; that of the one at the start, if there is none.
  Offset members_since() const { return memberships_.back().first; }
  /// Of the last entry that changes it and is committed.
  const Membership& committed_membership() const { return *memberships_.front().second; }
  /// Nothing before the base, and past the end.
  std::optional<Term> term_of(Offset offset) const { return heads_.term_of(offset); }
  /// A leader whose own term has something committed: it knows what is committed at all.
  bool leads_surely() const { return role_ == Role::leader && committed_ >= first_of_term_; }
  const std::map<StorageId, Progress>& progress() const { return progress_; }

 private:
  // core_election.cpp
  void follow(Term term, StorageId leader);
  void follow_claims(const std::function<Sight(const Member&)>& sight_of);
  void campaign(bool pre);
  void count_votes();
  void lead();
  void on_vote_request(const Message& message, const VoteRequest& request);
  void on_vote_answer(const Message& message, const VoteAnswer& answer);
  void tick_election(uint32_t rank, uint32_t random);
  bool may_campaign() const;
  bool is_newer_than_mine(const VoteRequest& request) const;

  // core_follower.cpp
  void on_append(const Message& message, const Append& append, const Room& room);
  Refusal take_entries(const Append& append, const Room& room);
  bool is_well_formed(const Message& message, const Append& append) const;
  void truncate_from(Offset first);
  void push_membership(const EntryHead& head);
  Offset acked() const;
  void acknowledge(Refusal refusal, Offset prev, Term prev_term);

  // core_leader.cpp
  void tick_leader(const std::function<Sight(const Member&)>& sight_of);
  void on_append_answer(const Message& message, const AppendAnswer& answer);
  void on_refusal(Progress& progress, const AppendAnswer& answer);
  void replicate(const Member& member);
  bool send_entries(const Member& member, Progress& progress);
  void advance_commit();
  void committed_moved();
  void keep_progress_of_members();
  void want_end_of_change();
  void answer_reads();
  void hand_over_if_ready();
  bool change_is_open() const { return memberships_.size() > 1 || membership().joint(); }

  void send(StorageId to, decltype(Message::body) body) { send(to, hard_.term, std::move(body)); }
  void send(StorageId to, Term term, decltype(Message::body) body);
  void set_hard_state(HardState hard);

  const Member self_;
  const Options options_;

  HardState hard_;
  /// What of it the disk has. Nothing leaves while the two differ: a promise, or a term that
  /// is new here, must not be known to others before it is safe from a power loss.
  HardState durable_hard_;
  std::vector<Message> held_;  // until then

  EntryHeads heads_;
  Offset durable_;  ///< this disk has entries up to here
  uint64_t life_ = 1;
  Offset committed_;
  /// Highest end that an Append of this term's leader proved equal to its log. Only what is
  /// verified (or committed) may be acknowledged: a longer suffix may be another leader's.
  Offset verified_;
  /// Last committed membership, then those of uncommitted entries, by their entry's end.
  std::deque<std::pair<Offset, std::shared_ptr<const Membership>>> memberships_;

  Role role_ = Role::follower;
  StorageId leader_;
  uint64_t read_seen_ = 0;  ///< read id of this term's leader's last Append
  Permit permit_;
  bool leader_is_live_ = false;  ///< at the last tick
  uint32_t silent_ticks_ = 0;
  uint32_t delay_ticks_ = 0;  ///< of this silence; 0: not drawn yet
  uint32_t tries_ = 0;
  std::map<StorageId, bool> votes_;

  // As leader.
  Offset first_of_term_;  ///< of the no-op; nothing older counts as committed before it is
  bool no_op_wanted_ = false;
  std::map<StorageId, Progress> progress_;
  uint64_t uncommitted_bytes_ = 0;
  bool tells_committed_ = false;  ///< on its own: now is a tick
  uint32_t deaf_ticks_ = 0;
  StorageId heir_;
  bool heir_told_ = false;
  uint32_t hand_over_ticks_ = 0;
  std::shared_ptr<const Membership> membership_wanted_;
  struct Read {
    uint64_t id;
    Offset committed;
  };
  std::deque<Read> reads_;
  uint64_t last_read_ = 0;

  Output out_;
};

}  // namespace clickmill::raft
