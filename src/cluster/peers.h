#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/node_clock.h"
#include "cluster/calls.h"
#include "cluster/caretaker.h"
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
    /// Whether the kernel calls the clock synchronised.
    std::function<bool()> synchronised;
    Caretaker::Options caretaker{};  ///< node and nodes are filled in
    /// Writes down who is in a group.
    std::function<Status(PartitionId, Offset, const raft::Membership&)> keep_members;
    /// Of a partition's state, for another node. Thread: background.
    std::function<Result<std::shared_ptr<stream::FrozenState>>(PartitionId)> freeze_state;
    size_t state_piece_bytes = 1 << 20;
    /// Rows of earlier buckets may be missing here.
    std::function<store::TableTimes()> deleted_before;
  };
  /// `owned` and `clock` are borrowed; workers are there, partitions come later.
  Peers(Options options, Owned& owned, NodeClock& clock);

  /// Borrowed; before the first beat.
  void send_through(peer::Transport& transport);
  Calls& calls() { return calls_; }
  const Sights& sights() const { return sights_; }
  const Options& options() const { return options_; }

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

  /// This disk has lost what it had acknowledged.
  bool forgot() const { return forgot_; }
  int64_t now_ns() const { return clock_.system().monotonic_ns(); }

  void on_frame(const std::string& from, peer::Lane lane, std::string&& frame) override;
  void on_link_up(const peer::Hello& peer) override;
  void on_link_down(const std::string& peer, bool refused, const std::string& why) override;

 private:
  class Router;
  void propose(PartitionId id, click::EntryKind kind, std::string_view payload,
               Partition::Applied applied);
  void on_group_frame(const std::string& from, std::string_view frame);
  void serve_batch(std::string_view question, Calls::Answer answer);
  void serve_proposal(std::string_view question, Calls::Answer answer);
  void serve_blocks(std::string_view question, Calls::Answer answer);
  void fetch_blocks(PartitionId id, Offset from);
  void serve_state(const std::string& from, std::string_view question, Calls::Answer answer);
  void ask_for_state(PartitionId id, const std::string& node, std::string_view question,
                     StateTaking::Told told);
  void send_group(PartitionId id, const std::string& node, std::string_view message);
  void send_claims(const std::string& node, const Claims& claims);
  std::vector<stream::LowWater> low_waters(PartitionId id, int64_t since_ns) const;
  LowWaters own_low_waters() const;
  Partition* partition(uint64_t id);
  GroupMember* group(uint64_t id) { return open_ ? owned_.group(id) : nullptr; }
  uint32_t rank_of(PartitionId id) const;

  const Options options_;
  Owned& owned_;
  NodeClock& clock_;
  Sights sights_;
  Calls calls_;
  StateSource states_;
  StateTurns state_turns_{1};
  StateCounts states_taken_;
  peer::Transport* transport_ = nullptr;
  std::vector<std::string> others_;
  std::vector<Caretaker> caretakers_;  ///< by worker
  std::atomic<bool> stopping_{false};
  std::vector<std::atomic<int64_t>> looped_ns_;  ///< by worker; 0: never yet
  std::atomic<bool> open_{false};
  std::atomic<bool> forgot_{false};
  std::atomic<bool> clock_is_fit_{false};
  uint64_t beats_ = 0;  ///< of who calls beat()
};

}  // namespace clickmill::cluster
