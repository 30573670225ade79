#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "cluster/partition.h"
#include "cluster/shared_catalog.h"
#include "engine/machine.h"
#include "simulation/careless.h"
#include "simulation/sim_file_system.h"
#include "state/memory_store.h"

namespace clickmill::simulation {

/// One node as it runs, the product's Machine, on a simulated disk and without threads:
/// the test decides what runs when, what fails, and when the machine dies.
///
/// The maintenance is the product's; sizes are scaled by the journal's files, 64 KiB
/// instead of 64 MiB.
///
/// Fault model: SimFileSystem's (unsynced writes are lost or torn, syncs fail, the
/// disk fills) and state::MemoryStore's (unsynced commits are lost); work posted to
/// the workers or the background is late, or lost with the process. The clock is whoever's
/// brings it.
class SimNode {
 public:
  static constexpr uint64_t kFileBytes = 64 << 10;
  struct Options {
    std::string node_id = "n1";
    std::vector<std::string> nodes = {"n1"};  ///< whose low-waters count
    uint32_t partitions = 3;
    unsigned workers = 2;
    uint64_t spool_memory_bytes = 64 << 20;
    uint64_t buffer_bytes = 1 << 20;
    uint64_t reserve_bytes = 0;
    bool answers_wait_for_commit = false;
    uint64_t segment_bytes = 64 << 10;
    int64_t log_age_ms = 90 * kDayMs;  ///< then segments go
    int64_t stale_after_hours = 72;    ///< so long does a silent node hold back what is forgotten
    size_t state_piece_bytes = 600;    ///< of a state for another node
    bool shelves = false;              ///< parts come often, and go together at once
    /// Not 0: it has peers, the nodes above, and this is the storage id of its disk.
    uint64_t storage = 0;
    bool check_claims = true;
    raft::Membership founders{};
    uint32_t copies = 0;  ///< of each partition among the founders; 0: each has one
    peer::Transport* transport = nullptr;
    /// Empty: as the peering says, or it leads every partition.
    std::function<std::unique_ptr<cluster::ClickRouter>(cluster::Owned&)> router = nullptr;
    Careless careless{};  ///< only with peers
    /// Of its version. One level: nothing rises.
    cluster::LevelWatch::Options levels{.node = {}, .levels = {1, 1}};
  };
  /// `clock` is borrowed.
  SimNode(uint64_t seed, const Clock& clock, Options options);

  /// Opens what clicks need, or says what is wrong.
  std::optional<std::string> begin();
  /// Opens and reads the rest.
  std::optional<std::string> recover();
  std::optional<std::string> open() {
    if (auto problem = begin()) return problem;
    return recover();
  }
  /// kill -9, or a power loss: everything in memory is gone.
  void die(bool power_loss);
  bool alive() const { return machine_ != nullptr; }
  /// Who its groups begin with, from its next start on.
  void set_founders(raft::Membership founders) { options_.founders = std::move(founders); }
  /// Its config names these nodes from its next start on.
  void set_nodes(std::vector<std::string> nodes) { options_.nodes = std::move(nodes); }
  /// Its version runs these levels from its next start on, and its config holds the cluster's at
  /// one of them; 0: it doesn't.
  void install(FeatureLevels levels, FeatureLevel hold) {
    options_.levels.levels = levels;
    options_.levels.most = hold;
  }
  FeatureLevels levels() const { return options_.levels.levels; }
  /// Its disk has another name from its next start on.
  void set_storage(uint64_t storage) { options_.storage = storage; }
  /// For tools on its disk, while it doesn't run.
  static engine::DataPaths paths() { return {"/data"}; }
  log::Journal::Options journal_options() const;
  uint32_t partition_count() const { return options_.partitions; }

  void pump() {
    while (machine_->journal().pump()) {
    }
  }
  /// Runs up to `most` messages of each worker; false when none waited.
  bool run_workers(size_t most);
  void run_background(size_t most);
  /// What every worker does between messages, and the log's upkeep.
  void step();
  void post_in_background(std::function<void()> task) { background_.push_back(std::move(task)); }

  engine::Machine& machine() { return *machine_; }
  const engine::Machine& machine() const { return *machine_; }
  const auto& partitions() const { return machine_->owned().partitions; }
  /// The cluster's ads here; only with peers.
  cluster::SharedCatalog& ads() { return *ads_; }
  const catalog::Catalog& own_ads() const { return *own_ads_; }
  bool caught_up() const;
  /// The first partition's that stopped.
  std::optional<std::string> failure() const;
  bool journal_fails() { return machine_->journal().health() == log::Journal::Health::failing; }
  stream::Tally total() const;

  SimFileSystem files;
  state::MemoryStore state;

 private:
  engine::Machine::Options machine_options();
  std::optional<std::string> open_ads();
  engine::Machine::Outside outside();
  uint64_t seed() const;

  const Clock& clock_;
  Options options_;
  Random random_;
  std::deque<std::function<void()>> background_;  ///< its tasks point into the machine
  std::unique_ptr<catalog::Catalog> own_ads_;
  std::unique_ptr<cluster::SharedCatalog> ads_;
  std::unique_ptr<CarelessTransport> careless_transport_;
  CarelessRouter* careless_router_ = nullptr;  ///< the machine's
  std::unique_ptr<engine::Machine> machine_;
};

}  // namespace clickmill::simulation
