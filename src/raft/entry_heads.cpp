#include "raft/entry_heads.h"

#include <algorithm>

namespace clickmill::raft {

const EntryHead* EntryHeads::holding(Offset offset) const {
  const auto behind =
      std::upper_bound(heads_.begin(), heads_.end(), offset,
                       [](Offset wanted, const EntryHead& head) { return wanted < head.first; });
  if (behind == heads_.begin()) return nullptr;
  const EntryHead& head = *std::prev(behind);
  return offset <= head.last() ? &head : nullptr;
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
