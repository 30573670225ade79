#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/backoff.h"
#include "base/node_clock.h"
#include "base/owned_by_thread.h"
#include "base/random.h"
#include "catalog/catalog.h"
#include "cluster/ads_history.h"
#include "cluster/group_member.h"
#include "cluster/partition.h"
#include "cluster/sealing.h"
#include "log/partition_log.h"
#include "raft/replica.h"

namespace clickmill::cluster {

/// The ads on this node: one more group, of all nodes, whose entries are changes of ads. What is
/// committed is written to the node's own catalog, in order.
///
/// Its log is the whole history: nothing of it is ever dropped. The catalog doesn't say how far
/// it is. So a start reads the log up to what it must have applied before, folds it, and writes
/// the difference at once: readers never see an older state again.
/// An entry that can't be read stops the applying: the ads stay as they are here, failure() says
/// why, and the group goes on without.
/// Thread: worker, except where noted.
class AdsGroup final : public GroupMember {
 public:
  struct Options {
    std::string node_id;
    Partition::Group group;  ///< all but low_waters is used
    /// Borrowed. Null: this node keeps other ads, and applies nothing.
    catalog::Catalog* catalog = nullptr;
    uint64_t random_seed = 0;
    size_t entry_bytes = 64 << 10;  ///< of payload, more or less
    /// As in Partition::Options.
    std::function<bool(std::function<void()>)> in_background;
    /// Writes the catalog: nothing long may hold it up.
    std::function<bool(std::function<void()>)> in_commit;
    std::function<void(std::function<void()>)> on_worker;
    /// After a start: ads of the catalog that no entry speaks of, as a node has that was alone.
    std::function<void(std::vector<catalog::Ad>)> found_own = nullptr;
    FeatureLevels levels = kFeatureLevels;
    /// The cluster is known to be at a higher level than before.
    std::function<void(FeatureLevel)> on_level = nullptr;
  };
  AdsGroup(PartitionId id, NodeClock& clock, std::unique_ptr<log::Segments> segments,
           Options options);
  /// Attaches the log, and reads all of it that is sealed.
  Status open(log::Journal& journal, log::RecoveredLog&& recovered);

  PartitionId id() const override { return id_; }
  const raft::Replica& replica() const override { return *replica_; }
  log::Segments& segments() override { return *segments_; }
  const log::PartitionLog& log() const override { return *log_; }
  void receive(const std::string& node, raft::Received&& message) override;
  void link_is_new(raft::StorageId storage) override;
  void take_blocks(Result<std::vector<log::Entry>> blocks) override;
  Status change_members(std::vector<raft::Member> voters,
                        std::vector<raft::Member> learners) override;
  Status hand_over(raft::StorageId heir) override;

  /// What came of a proposal.
  struct Outcome {
    Offset last;           ///< of its entries
    uint64_t made = 0;     ///< ads that were not there before
    uint64_t removed = 0;  ///< ads that were
  };
  using Applied = std::function<void(Result<Outcome>)>;
  /// Appends as leader; `applied` is called once it is applied here. Errc::not_leader and busy:
  /// it is in no log; invalid: nor will it ever be; io, closed: whether it is, is not known.
  void submit(AdsProposal&& proposal, Applied applied);
  /// How far the ads are, in the whole cluster: who has applied that much knows all that any
  /// node was told before the call. As leader; Errc::not_leader.
  void how_far(std::function<void(Result<Offset>)> told);
  /// Calls back once so much is applied here. Errc::closed: it won't be.
  void when_applied(Offset offset, std::function<void(Status)> applied);

  /// Records, as leader, that the cluster is at a level; nothing where that is under way, or it
  /// doesn't lead. Who asks does so again until it is known.
  void record_level(FeatureLevel level);

  /// Ticks, seals, and goes on where something has held it up. Call a few times a second.
  void maintain();
  JournalPos oldest_needed() { return log_->oldest_needed(); }
  void release_soon(JournalPos position, uint64_t max_bytes);

  /// What is in the catalog.
  Offset applied() const { return applied_; }
  /// Whether it has found out what it knew before the start.
  bool caught_up() const { return !difference_; }
  const AdsHistory& history() const { return history_; }
  const std::optional<Error>& failure() const { return failure_; }

 private:
  static constexpr int64_t kAgainFirstMs = 200;
  static constexpr int64_t kAgainMostMs = 10'000;
  using Changes = std::vector<catalog::AdsChange>;
  /// Entries on their way into the catalog.
  struct Batch {
    Offset upto;
    Changes changes;
    std::vector<std::pair<size_t, Outcome>> entries;  ///< with the end of their changes
  };
  struct Waiting {
    Offset first;
    Term term;
    Outcome outcome;
    Applied applied;
  };
  using Told = std::function<void(Result<Offset>)>;

  Sealing::Options sealing_options();
  log::PartitionLog::Callbacks callbacks();
  raft::Replica::Options replica_options() const;
  LogMs still_ms() const;
  Status read_sealed();
  void tick_group();
  void moved();
  void lost_lead();
  void told_failed(const std::string& why);
  Status append(AdsProposal&& proposal);
  void answer_reads();
  void tell_level();
  bool knows_enough() const;
  Status fold(const log::Entry& entry);
  Result<std::shared_ptr<Batch>> next_batch();
  Result<std::shared_ptr<Batch>> first_batch();
  void find_own();
  void apply_committed();
  void write(std::shared_ptr<Batch> batch);
  static Status write_to(catalog::Catalog& catalog, Batch& batch);
  void wrote(const std::shared_ptr<Batch>& batch, const Status& done);
  void answer_waiting(const Batch* batch);
  void fail(Error error);

  const PartitionId id_;
  NodeClock& clock_;
  const Options options_;
  OwnedByThread owner_;
  std::unique_ptr<log::Segments> segments_;
  std::unique_ptr<log::PartitionLog> log_;
  std::unique_ptr<raft::Replica> replica_;
  Sealing sealing_;
  Random random_;
  bool log_failed_ = false;
  std::optional<Error> failure_;
  int64_t next_tick_ns_ = 0;
  Term led_;         ///< the term in which it led last; 0: it doesn't
  Offset level_at_;  ///< of the entry of a level that it appended last in that term
  FeatureLevel level_told_ = 0;

  AdsHistory history_;
  Offset read_upto_;  ///< by history_
  Offset applied_;    ///< what of it is in the catalog
  /// After a start: what the log read so far says otherwise than the catalog, by ad.
  std::optional<std::map<std::string, catalog::AdsChange>> difference_;
  Hash128 last_file_;
  Offset had_upto_;  ///< at most so much was applied before the start
  std::shared_ptr<Batch> batch_;
  bool writing_ = false;
  Backoff again_{kAgainFirstMs, kAgainMostMs};
  std::string trouble_;

  std::deque<Waiting> waiting_;
  std::multimap<Offset, std::function<void(Status)>> followed_;
  std::map<uint64_t, Told> reads_;
};

}  // namespace clickmill::cluster
