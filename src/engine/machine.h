#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/metrics.h"
#include "base/node_clock.h"
#include "click/batch.h"
#include "cluster/ads_desk.h"
#include "cluster/founded.h"
#include "cluster/owned.h"
#include "cluster/partition_status.h"
#include "cluster/peers.h"
#include "cluster/shelving.h"
#include "collector/forwarder.h"
#include "collector/spool.h"
#include "dedup/id_spaces.h"
#include "engine/data_dir.h"
#include "engine/memory_alarm.h"
#include "log/journal.h"
#include "log/upkeep.h"
#include "state/store.h"
#include "store/retention.h"
#include "store/shelf.h"
#include "stream/joint_commits.h"

namespace clickmill::engine {

/// The life of a node, without threads and sockets: journal, spool, forwarders,
/// partitions, and what keeps them small. Whoever owns it brings the outside (disk,
/// clock, state store, router, background) and says what runs when: Engine with threads,
/// a simulation step by step.
///
/// In order: open_journal(), after which spool() takes clicks and journal().start() or
/// pump() makes them durable; beside that open_partitions() and recover(), which may take
/// long; then step_worker(i) for every worker, many times a second, beside that worker's
/// messages (workers()[i]->start() or step()), and upkeep().start() or round(). To end:
/// stop_workers(), then the owner's background, whose tasks point into it, then
/// stop_journal().
/// Thread: the owner's, but step_worker(i) on worker i.
class Machine {
 public:
  struct Options {
    std::string node_id = "n1";
    DataPaths paths;
    uint32_t partitions = 64;
    unsigned workers = 1;
    uint64_t seed = 0;                         ///< of the data directory: hashes ids and visitors
    uint64_t jitter_seed = 0;                  ///< of the forwarders' backoffs
    uint64_t memory_limit_bytes = UINT64_MAX;  ///< the id tables give an alarm at half of it
    log::RetentionRules retention;
    store::Retention::Days store_days{1826, 1826, 1826};  ///< minute, hour, day
    /// When parts of partitions go together. Nothing: as store_days say.
    std::optional<stream::ShelfRules> shelf_rules = std::nullopt;
    int64_t shelf_every_ms = 10'000;
    // Of the parts. What the machine itself knows (node_id, paths, seed, who is called
    // back) it fills in.
    log::Journal::Options journal;
    log::Segments::Options segments;
    stream::Pipeline::Options pipeline;
    cluster::Partition::Options partition;
    collector::Spool::Options spool;
    collector::Forwarder::Options forwarder;
    /// Answers wait for the commit, so what is ready is forwarded within milliseconds.
    bool answers_wait_for_commit = false;
    /// Of a node that has peers.
    struct Peering {
      std::vector<std::string> nodes;           ///< all, this one included, sorted
      raft::StorageId storage;                  ///< of the data directory's life
      uint64_t life = 0;                        ///< of this process: random, not 0
      bool check_claims = true;                 ///< see cluster::Peers::Options
      cluster::Caretaker::Options caretaker{};  ///< node and nodes are filled in
      size_t state_piece_bytes = 1 << 20;
      cluster::LevelWatch::Options levels{.node = {}, .levels = kFeatureLevels};
    };
    std::optional<Peering> peering;
    /// What still holds a file back that is older than so many is copied forward, so
    /// that a quiet partition doesn't keep gigabytes;
    uint64_t journal_files_in_peace = 5;
    /// at most the n-th part of a file by a worker's round, for spool and log each.
    uint64_t copied_part_of_file = 8;
  };
  /// What is outside. All may be called from any thread.
  struct Outside {
    /// Runs a task on another thread; false when it can't now: then it is tried again.
    std::function<bool(std::function<void()>)> in_background;
    /// The same for the writing of checkpoints. Empty: they are written on the worker.
    std::function<bool(std::function<void()>)> in_commit = nullptr;
    /// Finds the ads of clicks that came while nobody knew them.
    collector::Spool::AskForAd ask_for_ad;
    /// Brings batches to their leaders. Empty: as the peering says; without one this node
    /// leads every partition.
    std::function<std::unique_ptr<cluster::ClickRouter>(cluster::Owned&)> router = nullptr;
    /// May change what a group is told of its node, and the other way round: for tests.
    std::function<void(cluster::Partition::Group&)> around_group = nullptr;
    /// Whether the kernel calls the clock synchronised.
    std::function<bool()> synchronised = nullptr;
    /// Where this node keeps the cluster's ads; borrowed. Null: it keeps other ads, and only
    /// helps the others to agree.
    catalog::Catalog* ads = nullptr;
  };
  /// `files` and `clock` are borrowed and outlive it.
  Machine(FileSystem& files, const Clock& clock, Options options, Outside outside);
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  /// Finds the end of the journal; reads its newest file only.
  Status open_journal();
  /// With peers: what the cluster has in common, before open_partitions().
  void found(cluster::Founded founded);
  /// Opens segments and stream of every partition.
  Status open_partitions(std::shared_ptr<state::Store> state);
  /// Reads the journal, and gives logs and spool what earlier runs left in it.
  /// Errc::closed once `stopping`.
  Status recover(const std::atomic<bool>& stopping);
  /// After an error of the two above: makes another try possible.
  void close_partitions();

  /// What a worker does between messages: replay, then upkeep. True: again at once.
  bool step_worker(size_t worker);
  /// Has every partition write its checkpoint, as a message to its worker.
  void post_checkpoints();
  /// Ends upkeep and workers, whose messages are run; at any stage.
  void stop_workers();
  /// Writes and syncs what waits (Journal::stop); at any stage.
  void stop_journal();

  /// Null without peers. To be connected before the first beat, and its transport ended
  /// before stop_workers().
  cluster::Peers* peers() { return peers_.get(); }
  /// Where ads are changed; null without peers.
  cluster::AdsDesk* ads_desk() { return ads_desk_.get(); }
  cluster::Owned& owned() { return owned_; }
  const cluster::Owned& owned() const { return owned_; }
  NodeClock& clock() { return clock_; }
  const NodeClock& clock() const { return clock_; }
  uint32_t partitions() const { return options_.partitions; }
  log::Journal& journal() { return *journal_; }
  const log::Journal& journal() const { return *journal_; }
  collector::Spool& spool() { return *spool_; }
  const collector::Spool& spool() const { return *spool_; }
  const cluster::PartitionStatus& status() const { return status_; }
  /// After recover().
  log::Upkeep& upkeep() { return *upkeep_; }
  const state::Store& state() const { return *state_; }
  state::Store& state() { return *state_; }
  store::Retention& retention() { return *retention_; }
  /// After open_partitions().
  const store::Shelf& shelf() const { return *shelf_; }
  const cluster::Shelving& shelving() const { return *shelving_; }

 private:
  Status open_partition(PartitionId id);
  Result<std::unique_ptr<stream::Pipeline>> open_stream(cluster::Partition::Options& of,
                                                        Offset log_first, Offset sealed);
  Status open_ads();
  void open_shelf();
  void open_spool();
  void open_peers();
  void make_claim();
  void keep_claims();
  bool drop_claim();
  Result<cluster::Partition::Group> group_of(PartitionId id);
  Status refuse_closed() const;
  Status open_upkeep();
  PartitionId ads_id() const { return PartitionId(options_.partitions); }
  std::string unknown_record(PartitionId id) const;
  void maintain_ads(JournalPos current, JournalPos leave);
  bool replay(size_t worker);
  JournalPos begin_of_current() const;
  JournalPos leave_before() const;
  uint64_t copied_at_once() const;
  void maintain_journal();
  void maintain_ids();

  FileSystem& files_;
  NodeClock clock_;
  const Options options_;
  const Outside outside_;
  uint64_t seed_;
  /// Its voters are in force in a group whose log says nothing else.
  cluster::Founded founded_;
  const click::ColumnCodec codec_;
  const log::RowCodec ads_codec_;

  // Each borrows from those above it.
  /// Null before open_partitions(), as what stands on it; close_partitions() gives it up
  /// so that a second try opens the files anew.
  std::shared_ptr<state::Store> state_;
  std::unique_ptr<store::Retention> retention_;
  /// Tasks in the outside's background point to these two: it ends before they go.
  std::unique_ptr<dedup::IdSpaces> id_spaces_;
  std::unique_ptr<dedup::TableImages> images_;
  std::unique_ptr<store::Shelf> shelf_;
  std::unique_ptr<stream::JointCommits> commits_;  // null where the worker writes them
  /// Workers are there from the beginning; partitions from open_partitions() on, and not
  /// to be looked at by others before recover() has succeeded.
  cluster::Owned owned_;
  std::unique_ptr<cluster::Shelving> shelving_;
  /// What the workers told last of their partitions; all zero before their first step,
  /// so that no journal file goes before every partition has said what it needs.
  cluster::PartitionStatus status_;
  /// Its waiters point to spool and partitions, and are answered at the latest when it
  /// stops: the destructor stops it first.
  std::unique_ptr<log::Journal> journal_;
  /// There from open_journal() on, long before partitions are: redirects don't wait.
  std::unique_ptr<collector::Spool> spool_;
  std::unique_ptr<cluster::Peers> peers_;
  std::unique_ptr<cluster::AdsDesk> ads_desk_;
  /// Oldest journal position that the ads need, as PartitionStatus has it of the partitions.
  std::atomic<uint64_t> ads_need_{0};
  /// May answer a forwarder within send(), on its worker.
  std::unique_ptr<cluster::ClickRouter> router_;
  std::vector<std::unique_ptr<collector::Forwarder>> forwarders_;  ///< by worker
  std::unique_ptr<log::Upkeep> upkeep_;

  std::vector<size_t> replay_next_;  ///< by worker, its own: whose slice comes next
  // Of worker 0, which does what is the node's.
  MemoryAlarm memory_alarm_;
  unsigned closed_logs_ = 0;  ///< of open_partitions(): whose segments can't be opened
  int64_t next_ids_ns_ = 0;   ///< monotonic; 0: at once
  bool claim_kept_ = false;   ///< the claim's file is there
  int64_t next_seen_ns_ = 0;
  std::string seen_kept_;  ///< what its file holds
};

}  // namespace clickmill::engine
