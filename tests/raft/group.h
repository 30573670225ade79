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
/// to notice.
struct Careless {
  bool promises_before_sync = false;  ///< hard states are called durable at once
  bool entries_before_sync = false;   ///< entries are called durable at once
  bool forgets_hard_state = false;    ///< a restart begins with the term of its last entry
  bool keeps_storage_id = false;      ///< a wiped disk comes back as who it was
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
  void send(Message message);
  void propose(Node& node);
  void change_members(Node& node);
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
