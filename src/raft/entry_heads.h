#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>

#include "raft/membership.h"

namespace clickmill::raft {

/// What Raft needs to know of an entry; the payload stays in the log. An entry takes `count`
/// offsets, first … last(), and is either there as a whole or not: all offsets that members
/// exchange are ends of entries.
struct EntryHead {
  Offset first;
  uint32_t count = 1;
  Term term;
  uint32_t bytes = 0;  ///< of the payload, for flow control
  LogMs append_ms{};
  std::shared_ptr<const Membership> membership{};  ///< set in entries that change it
  Offset last() const { return first + (count - 1); }
};

/// The entries behind a base that can still be sent from memory. What stands at or before the
/// base is committed and sealed, and known by its end alone.
/// Invariant: contiguous, terms never fall. Thread: the owner's.
class EntryHeads {
 public:
  EntryHeads(Offset base, Term base_term) : base_(base), base_term_(base_term) {}

  Offset base() const { return base_; }
  Offset last() const { return heads_.empty() ? base_ : heads_.back().last(); }
  Term last_term() const { return heads_.empty() ? base_term_ : heads_.back().term; }
  /// The term at any offset from the base on; nothing before it or past the end.
  std::optional<Term> term_of(Offset offset) const;
  /// The entry that holds `offset`, or null. Valid until the next change.
  const EntryHead* holding(Offset offset) const;
  /// The largest end of an entry that is at most `offset` and whose term is at most `term`;
  /// the base counts too. Nothing when there is none here.
  std::optional<Offset> end_not_after(Offset offset, Term term) const;

  /// head.first == last() + 1.
  void append(EntryHead head) { heads_.push_back(std::move(head)); }
  /// Drops the entry that begins at `first` and all behind it.
  void truncate_from(Offset first);
  /// Moves the base to `end`, the end of an entry here.
  void drop_upto(Offset end);
  /// Begins anew behind `base`.
  void reset(Offset base, Term base_term);

 private:
  std::deque<EntryHead> heads_;
  Offset base_;
  Term base_term_;
};

}  // namespace clickmill::raft
