#include "raft/entry_heads.h"

#include <algorithm>

namespace clickmill::raft {

/// Each entry takes an offset at least, so that the ends say about where it is: exactly, where
/// all take one. It is asked for several times an entry, of thousands.
const EntryHead* EntryHeads::holding(Offset offset) const {
  if (offset <= base_ || offset > last()) return nullptr;
  const uint64_t from_front = std::min(offset - heads_.front().first, heads_.size() - 1);
  const uint64_t from_back = std::min(last() - offset, heads_.size() - 1);
  const auto begin = heads_.end() - static_cast<ptrdiff_t>(from_back + 1);
  const auto end = heads_.begin() + static_cast<ptrdiff_t>(from_front + 1);
  const auto behind = std::upper_bound(
      begin, end, offset, [](Offset wanted, const EntryHead& head) { return wanted < head.first; });
  return &*std::prev(behind);
}

std::optional<Term> EntryHeads::term_of(Offset offset) const {
  if (offset == base_) return base_term_;
  const EntryHead* head = holding(offset);
  return head == nullptr ? std::nullopt : std::optional(head->term);
}

std::optional<Offset> EntryHeads::end_not_after(Offset offset, Term term) const {
  // Both ends and terms rise, so the entries that fit are a prefix.
  const auto behind = std::partition_point(
      heads_.begin(), heads_.end(),
      [&](const EntryHead& head) { return head.last() <= offset && head.term <= term; });
  if (behind != heads_.begin()) return std::prev(behind)->last();
  return base_ <= offset && base_term_ <= term ? std::optional(base_) : std::nullopt;
}

void EntryHeads::truncate_from(Offset first) {
  while (!heads_.empty() && heads_.back().first >= first) heads_.pop_back();
}

void EntryHeads::drop_upto(Offset end) {
  while (!heads_.empty() && heads_.front().last() <= end) {
    base_ = heads_.front().last();
    base_term_ = heads_.front().term;
    heads_.pop_front();
  }
}

void EntryHeads::reset(Offset base, Term base_term) {
  heads_.clear();
  base_ = base;
  base_term_ = base_term;
}

}  // namespace clickmill::raft
