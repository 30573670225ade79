#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "raft/core.h"

namespace clickmill::raft {

/// What a group's surroundings do otherwise than they should, so that the checks can be seen
/// to notice: the disk, the network, or a member's owner, who changes what Core says or hears.
struct Careless {
  bool votes_before_sync = false;     ///< a vote for another is called durable at once
  bool own_vote_before_sync = false;  ///< a vote for itself is
  bool entries_before_sync = false;   ///< entries are
  bool news_without_life = false;     ///< what was synced before a cut vouches for what came behind
  bool forgets_hard_state = false;    ///< a restart begins with the term of its last entry
  bool keeps_storage_id = false;      ///< a wiped disk comes back as who it was
  bool cleared_by_entries = false;    ///< it does, and votes once it has all entries again
  bool acks_all_to_empty = false;     ///< an empty append is answered with the end of the log
  bool acks_past_verified = false;    ///< an answer vouches for all that is durable
  bool match_from_refusal = false;    ///< a refusal's hint is taken for an acknowledgement
  bool commits_by_count = false;      ///< a leader's, whatever the entry's term is
  bool commits_past_verified = false;  ///< a follower's, as far as its log goes
  bool cuts_behind_append = false;     ///< what stands behind an append goes, conflict or not
  bool changes_in_one_entry = false;   ///< the new members decide alone from their entry on
  bool changes_over_changes = false;   ///< one more begins while one is open
  bool pre_votes_count = false;        ///< their answers are taken for votes
  bool takes_older_state = false;      ///< than what is committed here
  bool refuses_committed = false;      ///< for the clock, as if it were not
};

/// A Raft group on simulated disks and a simulated network: one thread, one seed, no clock.
/// Every step does one thing to one member: a tick, a message, a sync, a kill.
///
/// Fault model: messages are lost, doubled, late and out of order; links are cut one way or
/// both; members are killed and lose what was not synced, from any point on; a disk syncs late;
/// proposals, changes of members, hand-overs and reads come at any time to anybody.
/// Checked at every step, from what the disks hold and the members say, never from inside Core:
///  - one leader in a term; equal (offset, term) means an equal log up to there (paper 5.3);
///  - a new leader has all that was ever committed (5.4); nobody calls anything else committed;
///  - what a leader calls committed is on the disks of a quorum;
///  - a read that was asked for answers no less than was committed then.
class Group {
 public:
  struct Options {
    size_t members = 3;
    bool changes = true;  ///< members come and go
    /// The first member's: it refuses what isn't committed.
    bool slow_clock = false;
    /// All disks sync late, and members are killed more often for that.
    bool slow_disks = false;
    Careless careless{};
  };
  Group(uint64_t seed, Options options);
  ~Group();

  void step();
  /// Everything is mended and everybody runs; true when all agree in the end.
  bool settle();
  /// What was seen that must never be.
  const std::optional<std::string>& violation() const { return violation_; }

  uint64_t committed_entries() const { return ledger_.size(); }
  uint64_t leaders() const { return leaders_.size(); }
  uint64_t installs() const { return installs_; }
  uint64_t truncations() const { return truncations_; }
  uint64_t changes_done() const { return changes_done_; }
  uint64_t reads_done() const { return reads_done_; }

 private:
  struct Kept;
  struct Node;
  struct Write;
  struct Chained {
    Term term;
    uint64_t hash;
    bool operator==(const Chained&) const = default;
  };

  Node& any_node();
  void start(Node& node);
  void kill(Node& node);
  void wipe(Node& node);
  void tick(Node& node);
  void sync(Node& node, size_t most);
  void tell(Node& node);
  void deliver();
  void deliver(Node& to, Message message);
  void send(Message message);
  Message as_sent(const Node& node, Message message) const;
  bool may_vote(const Node& node) const;
  bool durable_at_once(const Node& node, const HardState& hard) const;
  Offset committed_of(const Node& node) const;
  void propose(Node& node);
  void change_members(Node& node);
  void change_at_once(Node& node);
  void hand_over(Node& node);
  void ask(Node& node);
  void cut_or_heal();
  bool cut(const Node& from, const Node& to) const;
  Sight sight_of(const Node& node, const Member& member) const;
  Node* node_of(StorageId storage);
  void take(Node& node);
  void append(Node& node, EntryHead head);
  void install(Node& node, Offset at_least);
  void check(Node& node);
  void check_committed(Node& node);
  void check_leader(Node& node);
  void complain(std::string what);

  const Options options_;
  Random random_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::deque<Message> network_;
  std::set<std::pair<size_t, size_t>> cuts_;
  uint64_t next_storage_ = 1;
  uint64_t next_payload_ = 1;
  bool calm_ = false;

  // The witness.
  std::map<Offset, Chained> ledger_;  // by end, what was committed
  std::map<std::pair<Offset, Term>, uint64_t> chains_;
  std::map<Term, StorageId> leaders_;
  std::map<StorageId, std::unique_ptr<Kept>> graves_;  // disks that were wiped
  std::optional<std::string> violation_;
  uint64_t installs_ = 0;
  uint64_t truncations_ = 0;
  uint64_t changes_done_ = 0;
  uint64_t reads_done_ = 0;
};

}  // namespace clickmill::raft
