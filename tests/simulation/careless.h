#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cluster/owned.h"
#include "peer/transport.h"
#include "state/store.h"

namespace clickmill::simulation {

/// What the nodes of a cluster do otherwise than the product, so that the checks can be seen to
/// notice. Each stands at a seam that the product has anyway.
struct Careless {
  // Between the spool and the leader.
  bool trims_at_append = false;    ///< what is sent is called committed
  bool answers_by_offset = false;  ///< so is what was proposed at an offset that is committed
  bool never_again = false;        ///< resends don't say that they are
  // The disk.
  bool syncs_nothing = false;        ///< files' syncs are called done
  bool state_syncs_nothing = false;  ///< the state store's are
  bool commits_in_two = false;       ///< the second half is not synced
  bool forgets_claim = false;        ///< a start doesn't know where an earlier one ended
  // Between a group and its node.
  bool pause_is_silence = false;    ///< the own pause counts as the others' silence
  bool disk_may_hang = false;       ///< who waits for it leads all the same
  bool hearing_is_echo = false;     ///< who is heard is taken to hear this node too
  bool repeats_low_waters = false;  ///< what a node told once is told for it for ever
  // What other nodes are told.
  bool claims_for_ever = false;  ///< to lead what it has led once, in that term
  // The config.
  bool seed_of_its_own = false;
};

/// The product's router, and what is careless about it. Thread: the worker.
class CarelessRouter final : public cluster::ClickRouter {
 public:
  CarelessRouter(std::unique_ptr<cluster::ClickRouter> right, cluster::Owned& owned,
                 const Careless& careless)
      : right_(std::move(right)), owned_(owned), careless_(careless) {}
  void send(PartitionId partition, cluster::Batch&& batch, cluster::Committed committed) override;
  /// Answers what is committed by now, as it believes.
  void look();

 private:
  struct Waiting {
    PartitionId partition;
    Offset last;
    cluster::Committed committed;
  };
  const std::unique_ptr<cluster::ClickRouter> right_;
  cluster::Owned& owned_;
  const Careless careless_;
  std::vector<Waiting> waiting_;
};

/// What it claims to lead it claims for ever. `right` is borrowed. Thread: as `right`.
class CarelessTransport final : public peer::Transport {
 public:
  explicit CarelessTransport(peer::Transport& right) : right_(right) {}
  bool send(const std::string& to, peer::Lane lane, std::string frame) override;

 private:
  peer::Transport& right_;
  std::map<uint32_t, std::map<uint32_t, Term>> led_;  ///< by worker, by group
};

/// A store whose commits are less than they seem. `right` is borrowed. Thread: as `right`.
class CarelessStore final : public state::Store {
 public:
  CarelessStore(state::Store& right, const Careless& careless)
      : right_(right), careless_(careless) {}

  Status commit(const state::Batch& batch, bool sync) override;
  Result<std::optional<std::string>> get(const state::Space& space, std::string_view key) override {
    return right_.get(space, key);
  }
  Result<std::vector<std::optional<std::string>>> multi_get(
      const state::Space& space, const std::vector<std::string>& keys) override {
    return right_.multi_get(space, keys);
  }
  Status scan(const state::Space& space, std::string_view from, std::string_view to,
              const Visit& visit) override {
    return right_.scan(space, from, to, visit);
  }
  std::vector<state::Space> spaces() const override { return right_.spaces(); }
  std::shared_ptr<state::Frozen> freeze() override { return right_.freeze(); }
  Status drop_space(const state::Space& space) override { return right_.drop_space(space); }
  Status settle_space(const state::Space& space) override { return right_.settle_space(space); }
  uint64_t memory_bytes() const override { return right_.memory_bytes(); }

 private:
  state::Store& right_;
  const Careless careless_;
};

/// Puts what is careless between a group and its node. `clock` is borrowed.
void make_careless(cluster::Partition::Group& group, const Clock& clock, const Careless& careless);

}  // namespace clickmill::simulation
