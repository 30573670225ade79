#pragma once

#include <array>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "base/node_clock.h"
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

/// What the journal's replay found of the spool.
class RecoveredSpool {
 public:
  Status replay(JournalPos position, const log::RecordView& record);

 private:
  friend class Spool;
  struct Click {
    PartitionId partition;
    JournalPos position;
    std::string record;
  };
  std::vector<Click> clicks_;
  std::vector<JournalPos> trims_;
};

/// The collector's part of the journal: clicks answered and not yet committed.
///
/// Stamps each click's received_ms, so that it never falls below a low-water
/// that was told before: both happen under the partition's lock. Clicks of one
/// partition are given out and committed in the order of each queue.
/// Thread: any. One mutex per partition guards its queues: io threads append,
/// the journal thread marks durable, the worker takes; a mailbox would not do,
/// since low_water must see what is still on its way. Locked before the journal's.
class Spool {
 public:
  struct Options {
    uint32_t partitions = 64;
  };
  /// `ready(partition)` is called (journal thread, or start) when clicks can be taken.
  Spool(log::Journal& journal, NodeClock& clock, Options options,
        std::function<void(PartitionId)> ready);

  /// Clicks that an earlier run answered and had not trimmed: to be sent again.
  void recover(RecoveredSpool&& recovered);

  /// Stamps and journals a record. Errc::busy or closed: it was not taken (the
  /// caller counts it as dropped). `answer` may be null.
  Status append(PartitionId partition, std::string&& record, bool timestamp_too, log::Lane lane,
                std::shared_ptr<ClickAnswer> answer);

  enum class Queue : uint8_t { recovered = 0, redirects = 1, bulk = 2 };
  struct Taken {
    Queue queue = Queue::recovered;
    bool again = false;
    ArrivalMs newest;
    std::vector<std::string> records;
  };
  /// The oldest durable clicks of one queue; empty when there are none.
  std::optional<Taken> take(PartitionId partition, size_t count_most, size_t bytes_most);
  /// The `count` oldest taken clicks of the queue are committed.
  void committed(PartitionId partition, Queue queue, size_t count);

  /// Oldest received_ms held, or now when nothing is: every click taken in
  /// later has received_ms at or above it.
  ArrivalMs low_water(PartitionId partition);
  /// Writes a trim record when something was committed since the last.
  void write_trims();
  /// Oldest journal position that holds an uncommitted click.
  JournalPos oldest_needed();
  uint64_t held_clicks() const { return static_cast<uint64_t>(held_.value()); }

 private:
  static constexpr size_t kQueues = 3;
  struct Held {
    ArrivalMs received;
    JournalPos position;  ///< 0 until durable
  };
  struct Lane {
    std::deque<Held> held;  ///< everything not committed, in order
    size_t durable = 0;     ///< the first so many of held have a position
    std::deque<std::string> ready;
  };
  struct Share {
    std::mutex mutex;
    std::array<Lane, kQueues> lanes;
    JournalPos newest_durable;
    bool notified = false;
  };
  class Waiter;
  void mark_durable(PartitionId partition, Queue queue, JournalPos position, std::string&& record);
  void mark_failed(PartitionId partition, Queue queue);
  JournalPos oldest_position(const Share& share) const;

  log::Journal& journal_;
  NodeClock& clock_;
  const Options options_;
  const std::function<void(PartitionId)> ready_;
  std::vector<std::unique_ptr<Share>> shares_;
  Gauge held_;
  std::atomic<bool> trims_changed_{false};
};

}  // namespace clickmill::collector
