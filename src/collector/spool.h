#pragma once

#include <array>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "base/node_clock.h"
#include "catalog/catalog.h"
#include "collector/backlog.h"
#include "collector/spool_records.h"
#include "log/group_reader.h"
#include "log/journal.h"

namespace clickmill::collector {

/// Hears what became of a click on its way into the spool, on the journal thread.
class ClickAnswer {
 public:
  virtual ~ClickAnswer() = default;
  virtual void written() {}
  virtual void durable() = 0;
  /// The journal is closed.
  virtual void failed() = 0;
};

/// The collector's part of the journal: clicks answered and not yet committed.
///
/// Stamps each click's received_ms, so that it never falls below a low-water
/// that was told before: both happen under the partition's lock. Clicks of one
/// partition are given out and committed in the order of each queue, the queues
/// in turns, so that what is new doesn't wait for what an outage has left. Those whose
/// ad must still be asked for (click::kAdNotTold) are put aside when their turn comes,
/// so that nobody waits for them, and given out once told() has said which ad it is.
///
/// Holds up to `memory_bytes` of clicks; what goes beyond stays in the journal
/// alone (the backlog) and is read back when its turn comes: an hour without a
/// leader costs disk, not memory.
/// Thread: any. One mutex per partition guards its queues: io threads append,
/// the journal thread marks durable, the worker takes; a mailbox would not do,
/// since low_water must see what is still on its way. Locked before the journal's.
class Spool {
 public:
  /// A click whose ad must be asked for. Valid until it is committed.
  struct Untold {
    ArrivalMs received;
    JournalPos position;  ///< it stands there or later
    std::string record;
    bool again = false;
  };
  using UntoldClick = std::list<Untold>::iterator;
  struct Options {
    uint32_t partitions = 64;
    /// Told of each such click by take(); told() must follow.
    std::function<void(PartitionId, UntoldClick, const std::string& ad_id)> on_untold = nullptr;
    /// Beyond it a partition that has more than its share leaves clicks on disk.
    uint64_t memory_bytes = 64 << 20;
  };
  /// `ready(partition)` is called (journal thread, or who calls told()) when clicks can be taken.
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

  /// The click's ad, or null for a click of an unknown ad. It can be taken now.
  void told(PartitionId partition, UntoldClick click, const catalog::Ad* ad);

  enum class Queue : uint8_t { backlog = 0, redirects = 1, bulk = 2, told = 3 };
  struct Taken {
    Queue queue = Queue::backlog;
    bool again = false;  ///< may have been sent by an earlier run
    ArrivalMs newest;
    std::vector<std::string> records;
    size_t held = 0;    ///< clicks that leave the spool with them
    bool more = false;  ///< others could have been taken as well
  };
  /// Clicks of one queue, oldest first: at most `count_most` and about `bytes_most`,
  /// but at least one; of the backlog whole groups. Empty when there are none, or
  /// when the disk can't be read now. One batch of a partition at a time.
  std::optional<Taken> take(PartitionId partition, size_t count_most, size_t bytes_most,
                            log::GroupReader& journal);
  /// What was taken is committed.
  void committed(PartitionId partition, const Taken& taken);
  /// Clicks that stand on disk alone may be taken: what take() answered was a
  /// refusal of the disk.
  bool has_backlog(PartitionId partition);
  log::GroupReader reader() const { return journal_.reader(); }

  /// Oldest received_ms held, or now when nothing is: every click taken in
  /// later has received_ms at or above it.
  ArrivalMs low_water(PartitionId partition);
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
  /// Held clicks whose ad has not been told yet.
  uint64_t untold_clicks() const { return static_cast<uint64_t>(untold_.value()); }
  /// Held clicks that earlier runs answered.
  uint64_t earlier_clicks() const { return static_cast<uint64_t>(earlier_.value()); }
  /// Bytes of durable clicks in memory.
  uint64_t memory_bytes() const { return static_cast<uint64_t>(memory_.value()); }
  /// Durable clicks that damage of the disk has taken.
  uint64_t lost_clicks() const { return lost_.value(); }

 private:
  static constexpr size_t kQueues = 3;
  struct Held {
    ArrivalMs received;
    JournalPos position;  ///< 0 until durable
  };
  struct Lane {
    std::deque<Held> held;          ///< what is not taken, in order
    std::deque<std::string> ready;  ///< of the first ones of held, which are durable
  };
  /// Clicks that were or are untold.
  struct Aside {
    std::list<Untold> held;          ///< all that are not committed
    std::deque<UntoldClick> ready;   ///< told
    std::vector<UntoldClick> taken;  ///< on their way to the log
  };
  struct Share {
    std::mutex mutex;
    std::array<Lane, kQueues> lanes;  // the backlog's is empty
    Backlog backlog;
    std::vector<Backlog::Run> taken;  ///< where the batch stands that is out
    bool reading = false;             ///< the backlog's front is being read
    bool copying = false;
    Aside aside;
    size_t next_queue = 0;  ///< whose turn it is
    uint64_t memory_bytes = 0;
    JournalPos newest_durable;
    bool notified = false;

    void take(JournalPos position, ArrivalMs received);
    bool any_ready() const;
    bool on_its_way() const;
    JournalPos oldest_position() const;
    uint64_t clicks_before(JournalPos end) const;
  };
  class Waiter;
  class CopyWaiter;
  void mark_durable(PartitionId partition, Queue queue, JournalPos position, std::string&& record);
  void mark_failed(PartitionId partition, Queue queue);
  bool leaves_on_disk(const Share& share, JournalPos position) const;
  std::optional<Taken> take_from_memory(Share& share, Queue queue, size_t count_most,
                                        size_t bytes_most);
  std::optional<Taken> take_from_disk(PartitionId partition, Share& share, size_t count_most,
                                      size_t bytes_most, log::GroupReader& journal);
  size_t read_runs(PartitionId partition, const std::vector<Backlog::Run>& runs, size_t bytes_most,
                   log::GroupReader& journal, Taken& taken);
  std::string pop_ready(Share& share, Lane& lane);
  static std::optional<Taken> take_told(Share& share, size_t count_most, size_t bytes_most);
  void put_untold_aside(PartitionId partition, Share& share, Taken& taken);
  void copy_oldest(PartitionId partition, JournalPos before);
  void moved(PartitionId partition, JournalPos from, const Backlog::Run& copy);

  log::Journal& journal_;
  NodeClock& clock_;
  const Options options_;
  const std::function<void(PartitionId)> ready_;
  std::vector<std::unique_ptr<Share>> shares_;
  Gauge held_;
  Gauge untold_;
  Gauge earlier_;
  Gauge memory_;
  Counter lost_;
  Counter appended_clicks_;
  Counter appended_bytes_;
  log::GroupReader copy_reader_;
  std::atomic<bool> trims_changed_{false};
};

}  // namespace clickmill::collector
