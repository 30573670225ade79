#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "base/node_clock.h"
#include "catalog/catalog.h"
#include "collector/click_answer.h"
#include "collector/spool_queues.h"
#include "collector/spool_records.h"
#include "log/group_reader.h"
#include "log/journal.h"

namespace clickmill::collector {

/// The collector's part of the journal: clicks answered and not yet committed.
///
/// Stamps each click's received_ms, so that it never falls below a low-water
/// that was told before: both happen under the partition's lock. Clicks of one
/// partition are given out and committed in the order of each queue, the queues
/// in turns, so that what is new doesn't wait for what an outage has left. Those whose ad
/// is pending (click::kAdPending: the configuration service is still to be asked) are set
/// aside when their turn comes, so that nobody waits for them, and given out once ask_for_ad
/// has told their ad. What a partition holds is SpoolQueues' matter; here is the
/// traffic with the journal.
///
/// While node time stands still, ahead of the wall clock, a click is judged by the wall
/// clock here: one whose own time agrees with that is marked as on time (click::kBackfill),
/// or all of them would be late until time has caught up. A click without a time of its own
/// has only the wall clock's, which must be synchronised for it.
///
/// Holds up to `memory_bytes` of clicks; what goes beyond stays in the journal
/// alone (the backlog) and is read back when its turn comes: an hour without a
/// leader costs disk, not memory.
/// Thread: any. One mutex per partition guards its queues: io threads append,
/// the journal thread marks durable, the worker takes; a mailbox would not do,
/// since low_water must see what is still on its way. Locked before the journal's.
class Spool {
 public:
  using Queue = SpoolQueues::Queue;
  using Taken = SpoolQueues::Taken;
  /// Finds an ad and calls `told` with it, or with null when there is none: once, at once or
  /// later, from any thread, never after the spool is gone. Until then the click holds back
  /// low-water and journal.
  using AskForAd =
      std::function<void(const std::string& ad_id, std::function<void(const catalog::Ad*)> told)>;
  struct Options {
    uint32_t partitions = 64;
    /// Called by take() for each click whose ad is pending.
    AskForAd ask_for_ad = nullptr;
    /// Beyond it a partition that has more than its share leaves clicks on disk.
    uint64_t memory_bytes = 64 << 20;
    /// How far a click's own time may lie from the wall clock's, as stream::Settings say.
    int64_t window_grace_ms = 30'000;
    int64_t max_clock_ahead_ms = 30'000;
  };
  /// `ready(partition)` is called (journal thread, or who tells an ad) when clicks can be
  /// taken.
  Spool(log::Journal& journal, NodeClock& clock, Options options,
        std::function<void(PartitionId)> ready);

  /// Clicks that an earlier run answered and had not trimmed: to be sent again. Before the
  /// first take, low_water and write_trims; clicks may have been appended already.
  void recover(RecoveredSpool&& recovered);

  /// Stamps and journals a record. Errc::busy or closed: it was not taken (the
  /// caller counts it as dropped). `answer` may be null.
  Status append(PartitionId partition, std::string&& record, bool timestamp_too, log::Lane lane,
                std::shared_ptr<ClickAnswer> answer);

  /// Whether a bulk click that found its lane full finds room before long.
  bool takes_bulk() const;

  /// Clicks of one queue, oldest first: at most `count_most` and about `bytes_most`,
  /// but at least one; of the backlog whole groups. Empty when there are none, or
  /// when the disk can't be read now. One batch of a partition at a time.
  std::optional<Taken> take(PartitionId partition, size_t count_most, size_t bytes_most,
                            log::GroupReader& journal);
  /// What was taken is committed; tells the answers that wait for it.
  void committed(PartitionId partition, const Taken& taken);
  /// Clicks that stand on disk alone may be taken: what take() answered was a
  /// refusal of the disk.
  bool has_backlog(PartitionId partition);
  log::GroupReader reader() const { return journal_.reader(); }

  /// Oldest received_ms held, or now when nothing is: every click taken in
  /// later has received_ms at or above it.
  ArrivalMs low_water(PartitionId partition) const;
  /// Writes a trim record when something was committed since the last.
  void write_trims();
  /// Oldest journal position that holds an uncommitted click.
  JournalPos oldest_needed();
  /// Appends again what keeps the oldest file, if that stands before `before` and
  /// holds at most about `bytes_most` of clicks: a partition without a leader must
  /// not keep all that the others have written. Thread: one at a time.
  void copy_forward(JournalPos before, uint64_t bytes_most);
  uint64_t held_clicks() const { return static_cast<uint64_t>(held_.value()); }
  /// Clicks that are not durable yet: a moment's worth, unless the disk is full.
  uint64_t waiting_clicks() const;
  /// Held clicks whose ad is not known yet.
  uint64_t pending_clicks() const { return static_cast<uint64_t>(pending_.value()); }
  /// Held clicks that earlier runs answered.
  uint64_t earlier_clicks() const { return static_cast<uint64_t>(earlier_.value()); }
  /// Bytes of durable clicks in memory.
  uint64_t memory_bytes() const { return static_cast<uint64_t>(memory_.value()); }
  /// Durable clicks that damage of the disk has taken.
  uint64_t lost_clicks() const { return lost_.value(); }

 private:
  struct Share {
    std::mutex mutex;
    SpoolQueues queues;
    bool notified = false;  ///< ready_ was called since the last take()
  };
  /// The queues of a partition under its lock; in the end it counts by how much their
  /// memory has changed.
  class Locked {
   public:
    Locked(Share& share, Gauge& memory);
    ~Locked();
    Locked(const Locked&) = delete;
    Locked& operator=(const Locked&) = delete;
    SpoolQueues* operator->() const { return &queues_; }

   private:
    const std::lock_guard<std::mutex> lock_;
    SpoolQueues& queues_;
    Gauge& memory_;
    const uint64_t bytes_before_;
  };
  class Waiter;
  class CopyWaiter;
  void mark_durable(PartitionId partition, Queue queue, JournalPos position, std::string&& record,
                    WaitingAnswers::Answer&& answer);
  void mark_failed(PartitionId partition, Queue queue);
  std::optional<Taken> take_from_memory(Share& share, Queue queue, size_t count_most,
                                        size_t bytes_most);
  std::optional<Taken> take_from_disk(PartitionId partition, Share& share, size_t count_most,
                                      size_t bytes_most, log::GroupReader& journal);
  size_t read_runs(PartitionId partition, const std::vector<Backlog::Run>& runs, size_t bytes_most,
                   log::GroupReader& journal, Taken& taken);
  void set_pending_aside(PartitionId partition, Share& share, Taken& taken);
  void resolve(PartitionId partition, SpoolQueues::PendingId click, const catalog::Ad* ad);
  void copy_oldest(PartitionId partition, JournalPos before);
  void moved(PartitionId partition, JournalPos from, const Backlog::Run& copy);
  bool on_time_by_wall(const std::string& record, int64_t wall_ms, bool timestamp_too) const;

  log::Journal& journal_;
  NodeClock& clock_;
  const Options options_;
  const std::function<void(PartitionId)> ready_;
  std::vector<std::unique_ptr<Share>> shares_;
  Gauge held_;
  Gauge pending_;
  Gauge earlier_;
  Gauge memory_;
  Counter lost_;
  Counter appended_clicks_;
  Counter appended_bytes_;
  log::GroupReader copy_reader_;
  std::atomic<bool> trims_changed_{false};
};

}  // namespace clickmill::collector
