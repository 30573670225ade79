#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/strong.h"
#include "catalog/catalog.h"
#include "collector/backlog.h"
#include "collector/waiting_answers.h"

namespace clickmill::collector {

/// What the spool holds of one partition, by the way of a click through it:
///
///   append ─▶ on its way into the journal ─▶ durable ─▶ taken ─▶ committed
///                                     in memory or, when that
///                                     is full, in the backlog
///
/// A taken click whose ad is pending (click::kAdPending) is set aside until its ad is known,
/// and taken a second time. Whatever is not committed holds back the low-water and the
/// journal's files.
/// Pure: it has no journal, no clock and no lock; whoever owns it says what happened.
/// Thread: one at a time.
class SpoolQueues {
 public:
  enum class Queue : uint8_t { backlog = 0, redirects = 1, bulk = 2, resolved = 3 };
  /// Of a click in a batch, to be told when that is committed.
  struct Waiting {
    size_t record;  ///< which of the batch's; kOfBacklog: one of them
    WaitingAnswers::Answer answer;
  };
  static constexpr size_t kOfBacklog = SIZE_MAX;
  /// One batch.
  struct Taken {
    Queue queue = Queue::backlog;
    bool again = false;  ///< may have been sent by an earlier run
    ArrivalMs newest;
    std::vector<std::string> records;
    size_t held = 0;    ///< clicks that leave the spool with them
    bool more = false;  ///< others could have been taken as well
    std::vector<Waiting> answers;
  };
  /// A click that is set aside, by number; of one partition.
  using PendingId = uint64_t;
  struct Pending {
    PendingId id = 0;
    std::string ad_id;
  };

  /// What an earlier run left. Gives how many clicks that are.
  uint64_t recover(Backlog&& older);

  void append(Queue queue, ArrivalMs received) { lane(queue).held.push_back({received, {}}); }
  /// The queue's oldest click on its way stands at `position` now. `memory_full`: leave it
  /// on disk, unless its group's others are in memory. `answer` (it may be none) leaves with
  /// the batch that the click is in.
  void durable(Queue queue, JournalPos position, std::string&& record, bool memory_full,
               WaitingAnswers::Answer&& answer = {});
  /// The journal gave the queue's oldest click on its way up. It stays: it may be on disk and
  /// come back after a restart, so the low-water must not pass it.
  void failed(Queue queue);

  /// Clicks of one queue in order, at most `count_most` and about `bytes_most`, but at least
  /// one; nothing when there are none. Of Queue::redirects, bulk or resolved.
  std::optional<Taken> take(Queue queue, size_t count_most, size_t bytes_most);
  /// The backlog's first groups, to be read without the lock; they stay where they are
  /// until end_reading() says how many of them have become a batch. When damage has taken
  /// some, or the ads of some are pending, the batch leaves without any answer: whose are
  /// missing is not known.
  std::vector<Backlog::Run> begin_reading(size_t count_most);
  void end_reading(const std::vector<Backlog::Run>& runs, size_t read, Taken& taken);
  /// Takes those out of a batch whose ads are pending. They stay held.
  std::vector<Pending> set_aside(Taken& taken);
  /// Its ad, or null for a click of an unknown ad: it can be taken.
  void resolve(PendingId id, const catalog::Ad* ad);
  void committed(const Taken& taken);
  /// Which queue's turn it is: what is new doesn't wait for what an outage has left.
  Queue next_queue(size_t turn) const {
    return static_cast<Queue>((next_queue_ + turn) % kInTurns);
  }
  void had_turn(Queue queue) { next_queue_ = (static_cast<size_t>(queue) + 1) % kInTurns; }
  static constexpr size_t kInTurns = 3;

  /// Copying forward, one group at a time: its place, or nothing when there is none before
  /// `before` or one is being copied.
  std::optional<JournalPos> begin_copy(JournalPos before);
  void end_copy() { copying_ = false; }
  /// What stood at `from` stands in `copy` too; what of it is still here goes by the copy.
  /// Gives by how many clicks more (or less) are held now.
  int64_t moved(JournalPos from, const Backlog::Run& copy);

  /// Oldest received_ms held, or `now` when that is lower.
  ArrivalMs low_water(ArrivalMs now) const;
  /// Oldest position that holds an uncommitted click; UINT64_MAX: none is durable.
  JournalPos oldest_position() const;
  /// Everything below it is committed.
  JournalPos trim_position() const;
  uint64_t clicks_before(JournalPos end) const;
  bool any_ready() const;
  bool has_backlog() const { return !backlog_.empty(); }
  /// Clicks that are not durable yet.
  uint64_t on_their_way() const;
  uint64_t memory_bytes() const { return memory_bytes_; }

 private:
  struct Untaken {
    ArrivalMs received;
    JournalPos position;  ///< 0 until durable
  };
  struct Lane {
    std::deque<Untaken> held;       ///< what is not taken, in order
    std::deque<std::string> ready;  ///< records of the first ones of `held`: the durable ones
    uint64_t gone = 0;              ///< how many have left `ready`
    WaitingAnswers answers{};       ///< by how many clicks had left `ready` before theirs
  };
  struct Aside {
    ArrivalMs received;
    JournalPos position;  ///< it stands there or later
    std::string record;
    bool again = false;
    WaitingAnswers::Answer answer{};
  };
  Lane& lane(Queue queue) { return lanes_[static_cast<size_t>(queue)]; }
  bool leaves_on_disk(JournalPos position, bool memory_full) const;
  std::optional<Taken> take_resolved(size_t count_most, size_t bytes_most);
  void note_taken(const Untaken& held);
  std::string pop_ready(Lane& lane);

  std::array<Lane, kInTurns> lanes_;  ///< by queue; the backlog's is empty
  Backlog backlog_;
  WaitingAnswers backlog_answers_;   ///< by position
  std::vector<Backlog::Run> taken_;  ///< where the batch stands that is out
  bool reading_ = false;
  bool copying_ = false;
  // Set aside: all that are not committed, those whose ad is known, those on their way to
  // the log. Few, and they have waited already, so they go first.
  std::map<PendingId, Aside> aside_;
  std::deque<PendingId> resolved_;
  std::vector<PendingId> resolved_taken_;
  PendingId next_id_ = 1;
  size_t next_queue_ = 0;
  uint64_t memory_bytes_ = 0;
  JournalPos newest_durable_;
};

}  // namespace clickmill::collector
