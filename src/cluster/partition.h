#pragma once

// cluster/ brings log and stream together: a Partition is one share of the ads on this
// node, its log and the pipeline that applies it. Workers (worker.h) own partitions, worker
// number p mod workers; everything about a partition happens in messages to its worker, so
// there are no locks here.
// Others come in by one door each: collector/ sends batches (batch.h), queries read a
// version (reader.h), the api lists and decides reviews (review_desk.h), reads raw clicks
// (log_reader.h, tail_readers.h) and recounts (recounter.h); they ask with ask.h and wait on
// their own thread, never on the worker.
// Promise: a batch told committed is counted once, and a partition that meets an error
// stops and says why instead of counting on. Begin with Partition, then Owned.

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/backoff.h"
#include "base/node_clock.h"
#include "base/owned_by_thread.h"
#include "base/random.h"
#include "click/batch.h"
#include "cluster/batch.h"
#include "cluster/group_member.h"
#include "cluster/older_log.h"
#include "cluster/sealing.h"
#include "cluster/state_taking.h"
#include "cluster/tail_readers.h"
#include "log/partition_log.h"
#include "raft/replica.h"
#include "store/retention.h"
#include "stream/joint_commits.h"
#include "stream/pipeline.h"
#include "stream/rebuilder.h"
#include "stream/settings.h"
#include "stream/shelf_work.h"
#include "stream/tick.h"

namespace clickmill::cluster {

/// One partition on this node: its log, its place in the group that decides over it, and the
/// stream that applies what is committed. A node alone is a group of one: it leads every
/// partition, and what is durable here is committed.
///
/// A partition whose stream meets an error stops applying and answering, and
/// failure() says why. Its log goes on: it takes clicks and ticks, is sealed and lets
/// the journal go, so that the rest of the node doesn't feel it and a replay finds
/// every click. Only a journal that has failed ends that: clicks wait in the spool.
/// With a Rebuilder it heals: damage is rebuilt from the log beside the other
/// partitions (partition_healing.cpp).
/// Thread: worker, except where noted.
class Partition final : public GroupMember {
 public:
  using Applied = std::function<void(Result<Offset>)>;
  /// A partition's group, and the outside that it needs. All functions: thread worker.
  struct Group {
    raft::Member self;
    raft::Membership membership;  ///< in force at the end of what is sealed
    std::function<void(const std::string& node, std::string message)> send;
    std::function<raft::Sight(const raft::Member&)> sight_of;
    /// Whether this node has forgotten no promise and is well enough to lead.
    std::function<raft::Core::Permit()> permit;
    /// 0: this node is preferred as leader.
    std::function<uint32_t()> rank;
    /// What other nodes told of their spools since then; 0: ever.
    std::function<std::vector<stream::LowWater>(PartitionId, int64_t since_ns)> low_waters;
    std::function<Status(Offset, const raft::Membership&)> keep_members;
    /// Brings an entry to the partition's leader, another node; `applied` comes on the worker
    /// once it is applied here too.
    std::function<void(click::EntryKind, std::string&& payload, Applied)> propose;
    /// Gets sealed blocks from the leader, and comes back with take_blocks() once.
    std::function<void(Offset from)> fetch;
    /// Asks a node for a state, or its next piece; see StateTaking. Null: nobody can be asked.
    std::function<void(const std::string& node, const std::string& question, StateTaking::Told)>
        ask_for_state = nullptr;
    std::function<std::shared_ptr<void>()> state_turn = nullptr;
    StateCounts* state_counts = nullptr;  ///< borrowed
    /// Asks a node for what its log has before this one's; see OlderLog. Null: nobody can be.
    std::function<void(const std::string& node, Offset before, Offset from, OlderLog::Told)>
        ask_for_older = nullptr;
    std::function<std::shared_ptr<void>()> older_turn = nullptr;
    Counter* older_bytes = nullptr;  ///< borrowed
    int64_t log_kept_ms = 0;         ///< log time for which it is kept; 0: it is not known
    /// Whether this node is to hold the partition. Null: every node holds all of them.
    std::function<bool()> placed_here = nullptr;
    /// Where that is null: whether another node wants it otherwise still, since it has not been
    /// told of nodes that have come or gone. Null: it doesn't.
    std::function<bool()> disputed = nullptr;
    /// Whether somebody is heard to lead it.
    std::function<bool()> is_led = nullptr;
    /// This disk has lost what it acknowledged.
    std::function<void()> forgot;
  };
  struct Options {
    std::string node_id;
    stream::Settings settings;  ///< as configured; put in force by a log entry
    int64_t checkpoint_interval_ms = 30'000;
    uint64_t checkpoint_entries = 2'000'000;  ///< offsets after which a checkpoint is due earlier
    uint64_t checkpoint_bytes = 1 << 20;      ///< unsaved bytes after which it is
    /// Which rows are to go; borrowed, null: none.
    store::Retention* retention = nullptr;
    uint64_t log_bytes = 4 << 20;  ///< of unsealed entries, more than that holds clicks up
    /// Low-water of this node's spool for the partition. Thread: any.
    std::function<ArrivalMs(PartitionId)> low_water;
    uint64_t random_seed = 0;  ///< of elections' delays
    /// Where this node has peers; absent: it is alone.
    std::optional<Group> group = std::nullopt;
    /// Runs a task on the background thread; false when it can't now. Thread: any.
    std::function<bool(std::function<void()>)> in_background;
    /// The same for what nothing long may hold up: seals and the writing of checkpoints. Null:
    /// these are written on the worker.
    std::function<bool(std::function<void()>)> in_commit;
    /// Writes checkpoints, with those of other partitions; borrowed. Null: in_commit does, one
    /// at a time.
    stream::JointCommits* commits = nullptr;
    /// Runs a task on this partition's worker. Thread: any.
    std::function<void(std::function<void()>)> on_worker;
    /// Opened the stream, and does so again after an error; null: a restart must.
    std::shared_ptr<stream::Rebuilder> rebuilder;
    /// Why the segments are a stand-in, and the stream one too; empty: they aren't. Its clicks
    /// wait in the spool, and what the journal holds of its log stays there.
    std::string log_trouble;
    /// Why only the stream is; opening it is tried again.
    std::string stream_trouble;
  };
  Partition(PartitionId id, NodeClock& clock, std::unique_ptr<log::Segments> segments,
            std::unique_ptr<stream::Pipeline> pipeline, Options options);
  ~Partition() override {
    if (taking_) taking_->forget();
    if (older_) older_->forget();
  }
  /// Attaches the log. Errc::corrupt when the checkpoint is ahead of it. One that has lost
  /// some of its entries is closed: log_closed().
  Status open(log::Journal& journal, log::RecoveredLog&& recovered);

  /// Applies a slice of what was committed before the start; false when done
  /// (then the configured settings are put in force).
  bool replay_slice();
  bool caught_up() const { return caught_up_; }
  const std::optional<Error>& failure() const { return failure_; }
  /// Whether what it has stored was damaged and is being built anew from the log.
  bool rebuilding() const { return options_.rebuilder && options_.rebuilder->rebuilding(); }
  /// What of its parts may be put together with those of others; nothing while it is not well.
  std::optional<stream::ShelfView> shelf_view() const;
  /// Keeps the parts for that; false: it can't now.
  bool begin_shelving(const stream::ShelfPlan::Share& share);
  /// It is done: takes what was written, or says in the shelf that it doesn't need it.
  void end_shelving(const stream::ShelfWork::Share& share, store::Shelf& shelf);
  /// Whether its log can't be used; failure() says why.
  bool log_closed() const { return !log_trouble_.empty(); }
  /// Whether its stream only stands in for one that could not be opened, so that what is stored
  /// of the partition is not to be judged by it.
  bool stands_in() const { return lost() || !options_.log_trouble.empty() || !reopened_; }
  /// Whether it can't be rebuilt either.
  bool lost() const { return options_.rebuilder && options_.rebuilder->lost().has_value(); }
  /// Why questions can't be answered now; empty: they can.
  std::optional<Error> why_no_answer() const;
  /// Reading a part of it, on whatever thread, gave damage.
  void met_damage(const Error& error);
  /// This node counted otherwise than most others, as a comparison at that offset shows: its
  /// answers are wrong, and it begins anew from its log where that reaches back.
  void counts_differ(Offset at);
  void counts_agree();
  /// Why its counts are wrong; empty: they are not known to be.
  const std::string& difference() const { return difference_; }
  /// Parts that are damaged, and can't be rebuilt.
  const std::set<std::string>& damaged_parts() const { return damaged_parts_; }
  /// Log hours before it are in no state that the stream will ever go on from.
  LogHour oldest_durable_hour() const;

  /// Whether submit() takes batches now.
  bool takes_clicks() const { return !log_failed_ && ready_ && replica_->leads_surely(); }
  void receive(const std::string& node, raft::Received&& message) override;
  void link_is_new(raft::StorageId storage) override {
    if (log_closed()) return;
    replica_->link_is_new(storage);
    moved();
  }
  void take_blocks(Result<std::vector<log::Entry>> blocks) override;
  /// Calls back when the stream has applied up to there, or it is clear that it won't.
  void when_applied(Offset offset, Applied applied);
  Status change_members(std::vector<raft::Member> voters,
                        std::vector<raft::Member> learners) override;
  Status hand_over(raft::StorageId heir) override;
  const raft::Replica& replica() const override { return *replica_; }
  /// How often it has begun to lead since the start.
  uint64_t leads_taken() const { return leads_taken_; }
  /// Whether what has been applied is as new as a living leader's, or nearly.
  bool up_to_date() const;
  /// As leader, when it is agreed that the disk is no member: a place in the log, behind which it
  /// goes on should it ever be needed again. Who was one may let go of what it has. Errc::busy:
  /// it may be a member.
  Result<StateOffer> parting_from(raft::StorageId storage) const;
  /// A leader's word for that: log and state of this node go.
  void part(StateOffer place);
  /// Whether there is something here, though the node is not to hold it.
  bool lingers() const;
  /// Its log and state have gone to others: it counts again once it has got a state.
  bool hollow() const;
  /// Whether this node holds the partition, or is to: it is a member of its group, or placed in it.
  /// Else its log and state are empty here, and clicks and questions go to those who do.
  bool here() const;
  /// Whether somebody is known to lead it.
  bool led() const;
  /// Whether questions about it are answered here and not by another node: it votes, and has
  /// what the leader has, or nearly. As of the last maintain(). Thread: any.
  bool serves() const { return serves_; }
  /// Whether it votes, however far behind: then its answers are better than none. As serves().
  bool votes() const { return votes_; }
  /// Whether another node is to be asked though every node is to hold everything: this one has no
  /// vote, or had none a while ago and is behind still. As serves().
  bool apart() const { return apart_; }
  /// Whether others, or this node's readiness, may count on its copy.
  bool relied_on() const;
  /// Whether every node holds every partition. Thread: any.
  bool everywhere() const { return !options_.group || !options_.group->placed_here; }
  /// Appends a batch as leader. `committed` is called later, or at once with an error.
  void submit(Batch&& batch, Committed committed);
  /// Appends one entry that is no batch of clicks, here or through its leader. `applied` is called
  /// later, on the worker, with its offset once the stream has applied it; or at
  /// once or later with an error, which after an append leaves open whether it will be.
  void propose(click::EntryKind kind, std::string&& payload, Applied applied);
  /// The same as leader, else Errc::not_leader.
  void propose_here(click::EntryKind kind, std::string&& payload, Applied applied);
  /// Ticks, checkpoints, seals and merges what is due, and goes on where memory or a
  /// failure that may pass has held it up. Call a few times a second.
  void maintain();
  /// The checkpoint before a clean stop, written here and now.
  void checkpoint_now();
  /// What holds it up for now: it is tried again. Empty: nothing.
  const std::string& trouble() const {
    if (applying_.text.empty() && checkpointing_.text.empty()) return state_trouble_;
    return applying_.text.empty() ? checkpointing_.text : applying_.text;
  }
  /// Why what is committed can't be sealed now; the log goes on meanwhile. Empty: it can.
  const std::string& seal_trouble() const { return sealing_.trouble(); }
  /// Oldest journal position needed (see PartitionLog::oldest_needed).
  JournalPos oldest_needed() { return log_->oldest_needed(); }
  /// See PartitionLog.
  void refresh_hard_state(JournalPos position);
  /// Copies forward what holds files before `position`.
  void release_soon(JournalPos position, uint64_t max_bytes);

  /// How far it is.
  struct State {
    PartitionId id;
    Term term;
    bool here = true;    ///< this node holds it, or is to
    bool known = true;   ///< false: nobody who holds it could be asked
    std::string leader;  ///< node_id; empty: none is known
    raft::Membership members;
    Offset first;  ///< that can be read; last + 1 when there is none
    Offset last;
    Offset committed;
    Offset applied;
    LogMs log_time;
    ArrivalMs low_water;
    stream::Digest digest;
    /// How its log is caught up, if not by what the leader has in memory.
    struct Gear {
      bool blocks = false;       ///< by what the leader has sealed
      std::string from;          ///< by a state, from that node; empty: it isn't
      Offset upto;               ///< of the state
      uint64_t bytes = 0;        ///< that have come
      uint64_t bytes_total = 0;  ///< about
    };
    Gear gear;
  };
  State state() const;
  State::Gear gear() const;
  /// Committed entries that are held in memory, from the one that holds `from`
  /// on, about `max_bytes` of them. Nothing at all when `from` has been sealed.
  using Entries = std::vector<log::PartitionLog::EntryPtr>;
  std::optional<Entries> unsealed(Offset from, size_t max_bytes) const;
  /// Calls `wake` when `from` is committed: at once when it is already (TailReaders::add).
  void follow(Offset from, int64_t deadline_ns, TailReaders::Wake wake);
  /// The same, for so long.
  void follow_for(Offset from, int64_t ms, TailReaders::Wake wake) {
    follow(from, clock_.system().monotonic_ns() + ms * 1'000'000, std::move(wake));
  }
  void end_following() { tail_readers_.end_all(); }
  /// How many wait.
  size_t tail_readers() const { return tail_readers_.waiting(); }
  /// How long the last checkpoints, their preparing and their end, held the worker.
  struct Pauses {
    int64_t last_ns = 0;
    int64_t longest_ns = 0;  ///< since the start
    uint64_t checkpoints = 0;
    int64_t saved_at_ns = 0;  ///< all that was applied by then is in the last one; monotonic
  };
  const Pauses& checkpoint_pauses() const { return pauses_; }

  /// Work in the background that came to an end, since the start.
  struct Upkeep {
    uint64_t merges = 0;
    uint64_t merges_failed = 0;
    uint64_t seals_failed = 0;
  };
  Upkeep upkeep() const {
    Upkeep upkeep = upkeep_;
    upkeep.seals_failed = sealing_.failed();
    return upkeep;
  }

  /// What became of the clicks applied so far. Thread: any.
  stream::Tally tally() const;

  PartitionId id() const override { return id_; }
  const stream::Pipeline& pipeline() const { return *pipeline_; }
  const log::PartitionLog& log() const override { return *log_; }
  log::Segments& segments() override { return *segments_; }

 private:
  static constexpr int64_t kAgainFirstMs = 200;
  static constexpr int64_t kAgainMostMs = 10'000;
  static constexpr int64_t kRetryFirstMs = 1'000;
  static constexpr int64_t kRetryMostMs = 60'000;
  struct Waiting {
    Offset last;
    Term term;
    Committed committed;
  };
  Sealing::Options sealing_options();
  Status bridge_hole(const log::RecoveredLog& recovered);
  Status open_closed(log::Journal& journal, log::RecoveredLog&& recovered);
  void reopen();
  // partition_group.cpp
  Status open_replica();
  log::PartitionLog::Callbacks callbacks();
  void tick_group();
  void told_failed(const std::string& why);
  void moved();
  void lost_lead();
  bool prepare_to_lead();
  bool has_contact() const;
  bool is_voter() const { return replica_->core().membership().is_voter(replica_->self().storage); }
  LogMs still_ms() const;
  Offset answered_upto() const;
  Status append_clicks(Batch& batch);
  Status append_entry(click::EntryKind kind, uint32_t count, std::string&& payload,
                      LogMs append_ms);
  LogMs next_append_ms(ArrivalMs not_below);
  void apply_committed();
  void apply_slice();
  void apply_rest();
  bool has_room() const;
  void begin_repair(log::PartitionLog::EntryPtr entry);
  void end_repair(const log::Entry& entry, const stream::RepairJob& job, Status done);
  void answer_waiting();
  bool put_settings_in_force();
  bool begins_hour(LogMs append_ms) const;
  Status append_tick(LogMs append_ms);
  void tick_if_due();
  bool holds_much() const;
  void checkpoint_if_due();
  void begin_checkpoint();
  bool write_elsewhere(const std::shared_ptr<stream::Commit>& commit,
                       std::function<void()> written);
  void end_checkpoint(const std::shared_ptr<stream::Commit>& commit);
  /// What has failed, may pass, and is tried again.
  struct Hurdle {
    Backoff again{kAgainFirstMs, kAgainMostMs};
    std::string text;
  };
  void held_up(Error error, Hurdle& hurdle);
  static void passed(Hurdle& hurdle);
  void merge_if_due();
  void merged(const stream::Parts::Merge& merge, const Status& done);
  void publish_tally();
  void fail(Error error);
  void fail_for_good(Error error);
  bool finish_rebuild();
  void heal_if_due();
  void begin_again(std::unique_ptr<stream::Pipeline> pipeline);
  // partition_state.cpp
  /// For what damage has cost, and the own log can't give back.
  bool needs_state() const { return lost() || part_is_damaged_; }
  void want_state();
  void step_state();
  void switch_state();
  using Switched = Result<std::unique_ptr<stream::Pipeline>>;
  Switched switch_over(const StateOffer& offer, bool leaves);
  std::string not_here() const;
  void end_switch(Switched switched);
  /// Whether nothing new may begin, since a state is about to take the place of what there is.
  bool stands_still() const { return taking_ && taking_->whole(); }
  void fail_waiting();
  void step_older();

  const PartitionId id_;
  NodeClock& clock_;
  const Options options_;
  OwnedByThread owner_;
  // Three views of one numbering: sealed up to segments_->last(), in memory or journal up to
  // log_->last(), counted up to pipeline_->applied(). What is sealed is committed; what is
  // counted is committed, and where it isn't sealed yet it is still in log_.
  std::unique_ptr<log::Segments> segments_;
  std::unique_ptr<stream::Pipeline> pipeline_;  // another one after begin_again()
  std::unique_ptr<log::Segments> stand_in_;     // what log_ stands on when it is closed
  std::unique_ptr<log::PartitionLog> log_;      // null before open(), as is:
  std::unique_ptr<raft::Replica> replica_;
  Sealing sealing_;
  std::string log_trouble_;  // why the log is closed; empty: it isn't
  // Who is still to be answered, by offset: answers go from the front.
  std::deque<Waiting> waiting_;
  std::multimap<Offset, Applied> followed_;  // the same for entries of another leader
  TailReaders tail_readers_;
  Offset replay_until_;        // what the log was known to have committed at the start,
                               // alone: its end; or when it began again
  bool loaded_ = false;        // the stream has read its ids
  bool caught_up_ = false;     // replay_until_ is applied, and as leader the settings put
  bool ready_ = false;         // to take clicks as leader: the settings are in force
  bool settings_put_ = false;  // by this leader
  Term led_;                   // the term that it leads in; 0: it doesn't
  bool log_failed_ = false;    // the journal has: nothing can be appended
  bool heals_ = true;          // whether the stream's failure is one that passes
  bool reopened_;              // false: the stream still has to be opened
  Backoff heal_again_{kRetryFirstMs, kRetryMostMs};
  bool merging_ = false;  // one of each is under way in the background
  bool repairing_ = false;
  // A state that comes from another node; null: none.
  std::shared_ptr<StateTaking> taking_;
  bool switching_ = false;         // to it: it can't be given up any more,
  bool switch_in_flight_ = false;  // and that is under way in the background
  bool log_switches_ = false;      // the log goes on behind it
  Backoff switch_again_{kRetryFirstMs, kRetryMostMs};
  std::string state_trouble_;
  std::shared_ptr<OlderLog> older_;  // null: nobody could be asked
  // Of the checkpoint under way; null: none. What is applied meanwhile is not in it, and
  // no other begins, nor a repair, before its end was told.
  std::shared_ptr<stream::Commit> commit_;
  Hurdle checkpointing_;
  Hurdle applying_;  // of look-ups; while it waits the log takes clicks all the same
  Backoff merge_again_{kRetryFirstMs, kRetryMostMs};
  Upkeep upkeep_;
  int64_t next_checkpoint_ns_ = 0;  // monotonic, as is:
  int64_t checkpoint_begun_ns_ = 0;
  Pauses pauses_;
  // Newest minute for which a tick was appended, ms since 1970; 0: not known since the start.
  int64_t ticked_minute_ = 0;
  int64_t heard_upto_ns_ = 0;  // of others' low-waters: what the last tick has told
  int64_t next_group_tick_ns_ = 0;
  int64_t led_since_ns_ = 0;
  uint64_t leads_taken_ = 0;
  int64_t opened_ns_ = 0;
  Random random_;
  std::optional<stream::Footing> end_;  // behind the log's last entry, if that is known
  int64_t full_tick_hour_ms_ = 0;       // of the last full tick since the start
  // Why the stream has stopped: nothing more is applied, until another takes its place.
  std::optional<Error> failure_;
  std::set<std::string> damaged_parts_;
  bool part_is_damaged_ = false;    ///< and the log doesn't reach back
  std::string difference_;          // from the others' counts
  bool healed_difference_ = false;  // it has begun anew over one since they last agreed

  std::atomic<bool> serves_{false};
  std::atomic<bool> votes_{false};
  std::atomic<bool> apart_{false};

  // Guards the copy that other threads read; the worker replaces it whole.
  mutable std::mutex tally_mutex_;
  stream::Tally tally_;
};

}  // namespace clickmill::cluster
