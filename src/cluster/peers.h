#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/node_clock.h"
#include "cluster/agreement.h"
#include "cluster/calls.h"
#include "cluster/caretaker.h"
#include "cluster/clearing.h"
#include "cluster/level_watch.h"
#include "cluster/owned.h"
#include "cluster/sights.h"
#include "cluster/state_source.h"
#include "peer/transport.h"

namespace clickmill::cluster {

/// A node's place among the others: beats and claims to them, messages of groups to and from
/// them, clicks and entries to the leaders, blocks from whoever has them.
/// Its owner calls beat() ten times a second, whatever the workers do, and each worker calls
/// looped() between its messages.
/// Thread: any, except as noted.
class Peers final : public peer::Receiver {
 public:
  struct Options {
    std::string node_id;
    std::vector<std::string> nodes;  ///< all, this one included, sorted
    raft::StorageId storage;
    uint64_t life = 0;         ///< random, not 0
    uint32_t partitions = 64;  ///< groups 0 … partitions − 1; the next one is of the ads
    /// Of this node's spool.
    std::function<ArrivalMs(PartitionId)> low_water;
    std::function<bool(std::function<void()>)> in_background;
    /// Whether the disk lets this node lead.
    std::function<bool()> well;
    /// Whether it is quick enough for others to wait for. If not, whoever is leads.
    std::function<bool()> keeps_up = [] { return true; };
    /// Where the newest group begins that is durable since the start; 0: there is none.
    std::function<JournalPos()> durable;
    /// A seam for tests: without it an old image votes at once.
    bool check_claims = true;
    /// Whether the kernel calls the clock synchronised.
    std::function<bool()> synchronised;
    Caretaker::Options caretaker{};  ///< node and nodes are filled in
    /// Writes down who is in a group.
    std::function<Status(PartitionId, Offset, const raft::Membership&)> keep_members;
    /// Of a partition's state, for another node. Thread: background.
    std::function<Result<std::shared_ptr<stream::FrozenState>>(PartitionId)> freeze_state;
    size_t state_piece_bytes = 1 << 20;
    /// Log time for which the log is kept, unless its bytes decide: then 0.
    int64_t log_kept_ms = 0;
    /// Rows of earlier buckets may be missing here.
    std::function<store::TableTimes()> deleted_before;
    LevelWatch::Options levels{};  ///< node is filled in
  };
  /// `owned` and `clock` are borrowed; workers are there, partitions come later.
  Peers(Options options, Owned& owned, NodeClock& clock);

  /// Borrowed; before the first beat.
  void send_through(peer::Transport& transport);
  Calls& calls() { return calls_; }
  const Sights& sights() const { return sights_; }
  const Agreement& agreement() const { return agreement_; }
  Clearing& clearing() { return clearing_; }
  /// Whether this disk is cleared in all groups: then the owner, once no claim of it can come
  /// back, clears it as a whole.
  bool remembers_all() const;
  const Options& options() const { return options_; }
  /// Who is to hold what.
  const Placement& placement() const { return *placement_; }
  /// Nodes that are heard and want it otherwise, by their configs: nothing moves until they don't.
  std::vector<std::string> who_want_another() const;
  /// Who leads the group, as far as is known here, member or not; empty: nobody. Thread: any, but
  /// with `replica` that of its worker.
  std::string leader_of(PartitionId id, const raft::Replica* replica = nullptr) const;

  // peers_levels.cpp
  /// Of this node, for a hello.
  void tell_levels(peer::Hello& hello) const;
  /// The operator lets the cluster rise no further; 0: as far as it can. The others hear of it.
  void hold_level(FeatureLevel most);
  /// What the ads' log says of it. Thread: the ads' worker.
  void know_level(FeatureLevel level);
  /// Has the level recorded that is due, if this node leads the ads. Thread: their worker.
  void raise_level(AdsGroup& ads);
  const LevelWatch& levels() const { return levels_; }
  /// Why this node can't be in its cluster, by its level; empty: it can.
  std::string misfit() const;
  /// Other nodes that can't, a line for each.
  std::vector<std::string> misfits() const;

  /// What a group needs; `members`: in force at the end of what is sealed.
  Partition::Group group_of(PartitionId id, raft::Membership members);
  std::unique_ptr<ClickRouter> router();
  /// The groups are open, and may be given messages.
  void open_groups() { open_ = true; }
  void close_groups() {
    open_ = false;
    states_.clear();
  }

  void beat();
  /// Thread: the worker.
  void looped(size_t worker);
  /// Before a stop: others lead what is led here. As messages to the workers.
  void hand_over_all();
  /// Nothing is asked or answered any more.
  void stop() {
    calls_.stop();
    states_.clear();
  }
  /// States that this node gives to others, and takes from them.
  const StateSource& states() const { return states_; }
  const StateCounts& states_taken() const { return states_taken_; }
  /// Of other logs, for what this node's lack at their beginning.
  const Counter& older_bytes() const { return older_bytes_; }

  /// The groups that are led here let the disks of a node go that is no longer configured, once
  /// all others vote and enough of them remain. Errc::invalid: it is configured here.
  Status let_go(const std::string& node);
  /// Groups led here, and of them those that have a member which is not configured.
  struct Led {
    size_t groups = 0;
    size_t with_strangers = 0;
  };
  Led led() const;
  /// This node leads as little as it can, and others don't give it leads.
  void drain(bool on) { draining_ = on; }
  bool draining() const { return draining_; }
  /// A forced recovery has gone on without this node: it votes, acknowledges and leads no more,
  /// in no group. What it answers waits in its spool.
  void leave_behind() { left_behind_ = true; }
  bool left_behind() const { return left_behind_; }
  /// This disk has lost what it had acknowledged.
  bool forgot() const { return forgot_; }
  int64_t now_ns() const { return clock_.system().monotonic_ns(); }

  void on_frame(const std::string& from, peer::Lane lane, std::string&& frame) override;
  void on_link_up(const peer::Hello& peer) override;
  void on_link_down(const std::string& peer, bool refused, const std::string& why) override;
  void on_misfit(const peer::Hello& peer, peer::Refusal why) override;

 private:
  class Router;
  // First byte of a frame on lane group; 0 and 1 are Raft's messages and claims, 2 is the
  // founding's (engine/peering).
  static constexpr uint8_t kOfStanding = 3;
  static constexpr uint8_t kOfPlacement = 4;
  static constexpr int64_t kCompareEveryNs = 1'000'000'000;
  void propose(PartitionId id, click::EntryKind kind, std::string_view payload,
               Partition::Applied applied);
  void on_group_frame(const std::string& from, std::string_view frame);
  void look_after(Caretaker& caretaker, GroupMember& group, int64_t now_ns);
  bool has_strangers(const GroupMember& group) const;
  void compare_counts(Partition& partition);
  void send_standing();
  void send_standing(const std::string& node);
  void on_placement(const std::string& from, std::string_view bytes);
  bool all_want_the_same() const;
  /// Whether one has told that it does.
  bool others_want_another() const;
  void on_standing(const std::string& from, std::string_view bytes);
  /// Whether this node has forgotten no promise that it made in the group. Thread: its worker.
  bool remembers(PartitionId id) const;
  void serve_batch(std::string_view question, Calls::Answer answer);
  void serve_proposal(std::string_view question, Calls::Answer answer);
  void serve_blocks(std::string_view question, Calls::Answer answer);
  void fetch_blocks(PartitionId id, Offset from);
  // peers_parting.cpp
  void ask_to_part(Partition& partition);
  void serve_parting(std::string_view question, Calls::Answer answer);
  void serve_state(const std::string& from, std::string_view question, Calls::Answer answer);
  void serve_older(std::string_view question, Calls::Answer answer);
  void ask_for(CallKind kind, PartitionId id, const std::string& node, std::string_view question,
               StateTaking::Told told);
  void send_group(PartitionId id, const std::string& node, std::string_view message);
  void send_claims(const std::string& node, const Claims& claims);
  std::vector<stream::LowWater> low_waters(PartitionId id, int64_t since_ns) const;
  LowWaters own_low_waters() const;
  Partition* partition(uint64_t id);
  GroupMember* group(uint64_t id) { return open_ ? owned_.group(id) : nullptr; }
  uint32_t rank_of(PartitionId id) const;
  bool disk_may_lead() const;
  void link_levels(const peer::Hello& hello);
  void part_from_misfits();
  void become_misfit(std::string why);
  peer::Hello own_hello() const;

  const Options options_;
  const std::shared_ptr<const Placement> placement_;
  Owned& owned_;
  NodeClock& clock_;
  Sights sights_;
  Agreement agreement_;
  Clearing clearing_;
  const int64_t born_ns_;
  LevelWatch levels_;
  Calls calls_;
  StateSource states_;
  StateTurns state_turns_{1};
  StateTurns older_turns_{1};
  Counter older_bytes_;
  StateCounts states_taken_;
  peer::Transport* transport_ = nullptr;
  std::vector<std::string> others_;
  std::vector<Caretaker> caretakers_;  ///< by worker
  std::atomic<bool> stopping_{false};
  std::vector<int64_t> compared_ns_;  ///< by worker, its own: when it last compared its counts
  std::vector<std::atomic<int64_t>> looped_ns_;  ///< by worker; 0: never yet
  std::atomic<bool> open_{false};
  std::atomic<bool> forgot_{false};
  std::atomic<bool> left_behind_{false};
  std::atomic<bool> draining_{false};
  struct LedByWorker {
    std::atomic<size_t> groups{0};
    std::atomic<size_t> with_strangers{0};
    std::atomic<bool> cleared{false};  ///< in all groups, led or not
  };
  std::vector<LedByWorker> led_;
  mutable std::mutex storages_mutex_;  ///< guards the maps between links, beats and workers
  std::map<std::string, raft::StorageId> storages_;  ///< of linked nodes
  std::map<std::string, uint64_t> placements_;       ///< what they want, by its digest
  mutable std::mutex leaving_mutex_;  ///< guards the set between who asks and the workers
  std::set<std::string> leaving_;
  mutable std::mutex levels_mutex_;            ///< guards the next three between links and who asks
  std::map<std::string, peer::Hello> linked_;  ///< what those said of themselves
  std::map<std::string, std::string> misfits_;  ///< other nodes that are refused, and why
  std::string misfit_;                          ///< why this node is
  std::atomic<bool> fits_{true};
  std::vector<std::string> nodes_in_;  ///< of the ads' worker
  std::atomic<bool> clock_is_fit_{false};
  uint64_t beats_ = 0;  ///< of who calls beat()
};

}  // namespace clickmill::cluster
