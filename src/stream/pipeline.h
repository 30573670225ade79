#pragma once

// stream/ turns the committed log into counts: what arrives twice is dropped (dedup/), what
// is late or odd goes to review, the rest is counted in the minute of its own timestamp.
// A Pipeline per partition does it, entry by entry, on the partition's worker. Horizon says
// how far back ids are kept, Head holds the minutes that are in no part yet, Parts the list
// of part files, Review and Changes what people decide; Checkpoint is all of that at one
// offset. recount.h counts the same log a second time, on purpose with other code.
// Promise: state is a function of the entries alone, no clock and no config, so that a
// replay and a replica come to the same digest. A checkpoint is one atomic step.
// Begin with Pipeline::apply, then checkpoint.h.

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/owned_by_thread.h"
#include "dedup/dedup.h"
#include "log/entry.h"
#include "state/store.h"
#include "store/version.h"
#include "stream/changes.h"
#include "stream/checkpoint.h"
#include "stream/click_batch.h"
#include "stream/commit.h"
#include "stream/double_clicks.h"
#include "stream/head.h"
#include "stream/parts.h"
#include "stream/repair_job.h"
#include "stream/review.h"

namespace clickmill::stream {

/// One partition's stream: source → dedup → lateness → window → head and parts,
/// with review as side output. A replicated state machine: everything it does is
/// a function of the committed entries, in order. It reads no clock and no
/// config; time is in the entries, settings come by entries.
///
/// Errors: after Errc::io, no_space or busy the same call may be made again, and
/// nothing that was counted is lost. Any other error of apply or checkpoint leaves it
/// unusable (the owner stops the partition and reports); after a restart it begins at
/// the last durable checkpoint and the log is replayed. Thread: worker.
class Pipeline {
 public:
  struct Options {
    uint64_t seed = 0;                     ///< the data's secret seed
    std::string store_directory;           ///< of part files
    size_t flush_rows = 1024;              ///< closed head rows that make a part, and are frozen
    uint64_t flush_bytes = 512 << 10;      ///< and bytes of them, where they are large
    int64_t flush_age_ms = kHourMs;        ///< log time after which closed rows make a part
    store::Shelf* shelf = nullptr;         ///< of files that partitions share; borrowed
    dedup::TableImages* images = nullptr;  ///< of the id tables; borrowed, null: none are kept
    /// Parts that can't be opened don't keep the rest from it; they answer their damage.
    bool damaged_parts = false;
  };
  /// `store` and `files` are borrowed and outlive it.
  static Result<std::unique_ptr<Pipeline>> open(state::Slot slot, state::Store& store,
                                                FileSystem& files, Options options);
  /// One that has applied nothing, whatever is stored: for an owner that has none to use.
  static std::unique_ptr<Pipeline> stand_in(state::Slot slot, state::Store& store,
                                            FileSystem& files, Options options);

  /// Reads the ids that were filed before (apply does it otherwise): up to seconds.
  Status load() { return dedup_->load(); }
  /// What may be done a little at a time, between entries; after an error too.
  void maintain() { dedup_->maintain(); }

  /// The next committed entry; entry.first > applied(). Gaps were nothing of ours. One that
  /// has applied nothing may begin at a full tick in the middle of a log.
  Status apply(const log::Entry& entry);
  Offset applied() const { return state_.applied; }
  /// Whether it is an entry that apply() would be long at: a repair. Its owner begins it
  /// instead, runs the job on another thread and ends it; no checkpoint is begun and
  /// nothing applied meanwhile. Errc::busy: not while a checkpoint is under way, or
  /// after one failed; and of end_repair: begin once more.
  static bool takes_long(const log::Entry& entry);
  Result<std::shared_ptr<RepairJob>> begin_repair(const log::Entry& entry);
  Status end_repair(const log::Entry& entry, const RepairJob& job);

  /// A checkpoint: everything since the last one in one atomic, synced batch, closed
  /// rows flushed to a part before when that is due. Cost of begin: what changed since
  /// then. The owner runs the commit on another thread, where the disk is written, and
  /// hands it back: one at a time.
  Result<std::shared_ptr<Commit>> begin_checkpoint();
  /// The commit was run; its answer.
  Status end_checkpoint(Commit& commit);
  /// The commit will never be run.
  void give_up_checkpoint(Commit& commit);
  /// All of it at once; nothing when nothing was applied since the last one.
  Status checkpoint();
  Offset checkpointed() const { return checkpointed_; }
  /// Whether a checkpoint would have nothing to do.
  bool saved() const { return state_.applied == checkpointed_ && !flush_ && !flush_is_due(); }
  /// Memory that a checkpoint would give back, about: ids, flagged clicks, and
  /// closed rows if they are to be flushed.
  uint64_t unsaved_bytes() const;
  /// What a checkpoint under way holds, about.
  uint64_t in_flight_bytes() const {
    return dedup_->in_flight_bytes() +
           2 * (head_.frozen_bytes(0) - head_.frozen_bytes(flush_ ? flush_->frozen() : 0));
  }
  /// Log hours before it are in no durable state of this partition.
  LogHour oldest_durable_hour() const { return dedup_->oldest_durable_hour(); }

  /// Merging parts takes long and changes no row: the owner runs what is due on
  /// another thread and brings it back. It counts from the next checkpoint on.
  std::shared_ptr<Parts::Merge> due_merge(const store::TableTimes& oldest_ms) {
    return parts_.due_merge(oldest_ms);
  }
  bool parts_pile_up() const { return parts_.pile_up(); }
  uint64_t take_merge(const Parts::Merge& merge) { return parts_.take_merge(merge); }
  void merge_failed(const Parts::Merge& merge, const Error& error) {
    parts_.merge_failed(merge, error);
  }
  /// Likewise what is done with parts of all partitions at once; see Parts.
  Parts::Lists free_parts() const { return parts_.free(); }
  bool begin_shelving(const std::shared_ptr<const store::PartList>& shelved) {
    return parts_.begin_shelving(shelved);
  }
  bool take_shelved(const store::PartList& shelved, const store::PartList& written) {
    return parts_.take_shelved(shelved, written);
  }
  void shelving_failed(const store::PartList& shelved, const Error& error) {
    parts_.shelving_failed(shelved, error);
  }

  /// What a query reads: head rows that match, the parts, how far it is.
  store::Version version(const store::Scan& scan) const;

  /// Flagged clicks, and what was done by hand; both want horizon().age_ms().
  const Review& review() const { return review_; }
  const Changes& changes() const { return changes_; }

  const Settings& settings() const { return state_.settings; }
  const Horizon& horizon() const { return state_.horizon; }
  const Tally& tally() const { return state_.tally; }
  const Digest& digest() const { return state_.digest; }
  /// What all replicas must have come to alike: a value for each of the newest entries, since
  /// the start, that are the first of their minute of log time; oldest first. It covers what
  /// became of every click, and the rows of the minutes that were open there.
  const std::deque<Digest>& agreed() const { return agreed_; }
  dedup::Dedup::Usage dedup_usage() const { return dedup_->usage(); }
  size_t head_rows() const { return head_.row_count(); }
  uint64_t head_memory_bytes() const { return head_.memory_bytes(); }
  state::Slot slot() const { return slot_; }
  std::vector<store::PartMeta> part_metas() const { return parts_.metas(); }
  std::array<size_t, Parts::kLevels> part_levels() const { return parts_.levels(); }

 private:
  Pipeline(state::Slot slot, state::Store& store, FileSystem& files, Options options);
  Status restore();
  void open_dedup();
  Status apply_clicks(const log::Entry& entry);
  Status apply_tick(const log::Entry& entry);
  void put_in_force(Settings settings);
  Status apply_decision(const log::Entry& entry);
  Status apply_repair(const log::Entry& entry);
  void end_entry(const log::Entry& entry);
  void count(const click::ClickView& click);
  void settle();
  void judge(const ClickBatch::Click& click, Offset offset, LogMs append_ms, bool duplicate);
  std::optional<Reason> reason_for_review(const ClickBatch::Click& click, bool again_soon) const;
  bool clicks_again_soon(const ClickBatch::Click& click, LogMs append_ms);
  void mix(uint64_t what);
  void note_digest();
  void note_agreed();
  bool many_closed(int64_t bound) const;
  bool flush_is_due() const;
  void freeze_closed();
  void freeze_many();
  void flush_again();
  Status fill(state::Batch& batch);
  int64_t closed_before() const;

  const state::Slot slot_;
  const PartitionId partition_;
  state::Store& store_;
  FileSystem& files_;
  const Options options_;
  OwnedByThread owner_;
  Checkpoint state_;  // parts are filled in at checkpoints only
  Offset checkpointed_;
  std::unique_ptr<dedup::Dedup> dedup_;
  std::deque<Digest> agreed_;
  int64_t agreed_minute_ = 0;  // of the last entry's log time
  DoubleClicks double_clicks_;
  Head head_;
  Parts parts_;
  Review review_;
  Changes changes_;
  int64_t last_flush_log_ms_ = 0;
  std::shared_ptr<Parts::Flush> flush_;  // of the head's first frozen rows; null: not begun

  // Of the entry being applied.
  ClickBatch batch_;
  std::vector<uint8_t> duplicate_;
};

}  // namespace clickmill::stream
