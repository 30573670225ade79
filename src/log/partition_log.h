#pragma once

// log/ keeps opaque records in order and loses none: it holds whatever the layers above
// call a record, and could serve another product.
// One Journal per node (journal.h: write-ahead files, group commit on the journal thread)
// takes every byte first. A PartitionLog per partition gives entries their offsets, keeps
// what is not sealed yet in memory, and seals what is committed into Segments (segments.h:
// compressed blocks, manifest.h: the list of them). Upkeep (upkeep.h) deletes what is too
// old and reads everything once a month.
// Called by cluster/ on the partition's worker; sealing and upkeep run in the background.
// Promise: what was told durable is there after kill -9 and power loss, or recovery names
// file and byte. Begin with Journal, then PartitionLog, then Segments.

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/owned_by_thread.h"
#include "log/entry.h"
#include "log/journal.h"
#include "log/segments.h"

namespace clickmill::log {

/// What Raft must not forget.
struct HardState {
  Term term;
  std::string vote;  ///< for whom in `term`; empty: none
  friend bool operator==(const HardState&, const HardState&) = default;
};

/// What the journal's replay found of one partition; filled record by record,
/// in any mixture of originals and copies, before PartitionLog is made.
class RecoveredLog {
 public:
  /// What segments hold, up to `sealed`, is passed over: most of the journal, as a rule.
  explicit RecoveredLog(Offset sealed) : sealed_(sealed) {}
  RecoveredLog() = default;
  /// Errc::corrupt for a record that can't have been written.
  Status replay(JournalPos position, const RecordView& record);
  /// First offset behind `sealed` that it holds; empty: none.
  std::optional<Offset> first_after(Offset sealed) const;
  /// What stands in the journal behind `sealed`, in order, for tools that only read.
  std::vector<Entry> entries_after(Offset sealed) const;

 private:
  friend class PartitionLog;
  struct Found {
    Entry entry;
    JournalPos position;
  };
  Offset sealed_;
  std::map<Offset, Found> entries_;  // by first offset
  HardState hard_state_;
  JournalPos hard_state_position_;
};

/// One partition's log, as Raft needs it: append with term, cut a suffix, read
/// from an offset, committed offset, hard state. New entries live in the
/// journal and in memory; committed ones are sealed into Segments block by
/// block and then leave both.
///
/// Entries are durable when on_durable has been called for them (the owner
/// posts from the journal thread to the worker); commit() may follow only then.
/// Errors: a gap between segments and journal is Errc::corrupt at open (with
/// what is missing); append and set_hard_state give the journal's errors.
/// Thread: worker, except that seal_blocks runs on the background thread.
class PartitionLog {
 public:
  /// All are called on the journal thread: `on_durable` with the last offset of each entry
  /// that became durable and the log's life when it was appended; `on_hard_state` with each
  /// hard state that did; `on_failed` when the journal closed.
  struct Callbacks {
    std::function<void(Offset last, uint64_t life)> on_durable;
    std::function<void(const HardState&)> on_hard_state = nullptr;
    std::function<void(const Error&)> on_failed = nullptr;
  };
  using EntryPtr = std::shared_ptr<const Entry>;
  /// `segments` and `journal` are borrowed and outlive it.
  static Result<std::unique_ptr<PartitionLog>> open(PartitionId id, Segments& segments,
                                                    Journal& journal, RecoveredLog&& recovered,
                                                    Callbacks callbacks);

  /// The next call may come from another thread, which owns it from then on (start-up).
  void release_thread() { owner_.release(); }

  PartitionId id() const { return id_; }
  /// Offset of the first entry that can be read; last().value()+1 when empty.
  Offset first() const;
  Offset last() const { return last_; }
  Term last_term() const { return last_term_; }
  LogMs last_append_ms() const { return last_append_ms_; }
  Offset committed() const { return committed_; }
  /// Everything up to here was durable when it was recovered or told.
  Offset durable() const { return durable_; }
  /// Term of the entry that holds the offset; empty when it isn't in memory.
  std::optional<Term> term_at(Offset offset) const;
  /// The entry that begins at the offset; null when none in memory does.
  EntryPtr beginning_at(Offset first) const;

  /// Appends behind last(); entry.first must be last()+1.
  Status append(Entry&& entry);
  /// Removes every entry that holds an offset >= from; none may be committed. What is
  /// appended from now on belongs to `life`, which is above that of all before: an entry can
  /// be cut and appended again in its old term, and news of the first must not vouch for
  /// bytes that the second has not written.
  Status truncate_suffix(Offset from, uint64_t life);
  /// Tells that entries up to `last` are durable; news of another life are ignored.
  void durable_upto(Offset last, uint64_t life);
  void commit(Offset upto);
  uint64_t life() const { return life_; }
  /// Whether the last truncation is durable, and with it all that was appended before.
  bool cut_is_durable() const { return heard_life_ == life_; }
  /// Segments have taken in blocks that a peer committed: the log goes on behind them. What it
  /// held up to there goes; what it holds behind stays, and none of it may differ (cut it
  /// before, and see that the cut is durable). What is appended from now on is of `life`.
  void moved_on(uint64_t life);
  /// What is not sealed, in order.
  std::vector<EntryPtr> unsealed() const;

  /// Entries from the one that holds `from` on, at least one (unless past the
  /// end), at most about `max_bytes`; from segments or memory.
  Result<std::vector<EntryPtr>> read(Offset from, size_t max_bytes) const;

  const HardState& hard_state() const { return hard_state_; }
  Status set_hard_state(HardState state);

  /// Committed entries that form whole blocks, not yet sealed, up to an offset; empty when none.
  std::vector<EntryPtr> sealable(Offset upto = Offset(UINT64_MAX)) const;
  /// They are in durable segments now: frees memory and journal up to `last`.
  void sealed_upto(Offset last);
  Segments& segments() { return segments_; }
  const Segments& segments() const { return segments_; }

  /// Oldest journal position that this log still needs. Records that are not
  /// durable yet are not in it: cap the answer by the begin of the file that was
  /// current before the call (they stand in that file or a later one).
  JournalPos oldest_needed();
  /// Appends the hard state again when it stands before `position`: so few bytes are to hold
  /// no file.
  void refresh_hard_state(JournalPos position);
  /// Appends again what stands before `position`, so that its file can go; not
  /// more than `max_bytes` at once, but at least one entry. True when nothing is left there or on
  /// its way.
  bool copy_forward(JournalPos position, uint64_t max_bytes);
  uint64_t memory_bytes() const { return memory_bytes_; }

 private:
  struct Unsealed {
    EntryPtr entry;
    Offset first, last;   ///< the entry's: to look for one must not touch all of them
    JournalPos position;  ///< 0 until durable
    bool copying = false;
    bool moved = false;  ///< stands behind its place in the order, or may
  };
  class EntryWaiter;
  friend class EntryWaiter;
  class CutWaiter;
  class HardStateWaiter;
  friend class HardStateWaiter;
  PartitionLog(PartitionId id, Segments& segments, Journal& journal, Callbacks callbacks);
  Status take_over(RecoveredLog&& recovered);
  void push(Entry&& entry, JournalPos position);
  size_t index_of(Offset offset) const;
  bool rest_stands_behind(const Unsealed& held, JournalPos position) const;
  Status write(const Entry& entry, RecordKind kind);

  const PartitionId id_;
  Segments& segments_;
  Journal& journal_;
  const std::shared_ptr<const Callbacks> callbacks_;  // shared with waiters in the journal
  OwnedByThread owner_;
  std::deque<Unsealed> held_;  // unsealed entries, contiguous
  Offset last_;
  Term last_term_;
  LogMs last_append_ms_;
  Offset committed_;
  Offset durable_;
  uint64_t life_ = 1;        ///< raised by each truncation
  uint64_t heard_life_ = 1;  ///< of the last news
  HardState hard_state_;
  JournalPos hard_state_position_;
  JournalPos refreshed_for_;  ///< of the last refresh_hard_state() that wrote
  uint64_t memory_bytes_ = 0;

  // Positions told by the journal thread, taken in by the worker: entries' and
  // the hard state's. The mutex guards this list only; innermost but the journal's.
  struct Placed {
    RecordKind kind;
    Offset first;
    Term term;
    JournalPos position;
  };
  struct PlacedList {
    std::mutex mutex;
    std::vector<Placed> list;
  };
  std::shared_ptr<PlacedList> placed_ = std::make_shared<PlacedList>();
  void take_in_positions();
};

void encode_entry(const Entry& entry, std::string& out);
Result<Entry> decode_entry(std::string_view bytes);

}  // namespace clickmill::log
