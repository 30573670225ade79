#include "log/gap_filler.h"

#include <algorithm>

#include "base/bytes.h"
#include "log/partition_log.h"

namespace clickmill::log {
namespace {

void fill_one(Offset first, Offset last, const Entry& like, std::vector<Entry>& out) {
  while (first <= last) {
    const uint64_t block_end = (first.value() / kBlockOffsets + 1) * kBlockOffsets - 1;
    Entry filler = like;
    filler.first = first;
    filler.count = static_cast<uint32_t>(std::min(last.value(), block_end) - first.value() + 1);
    first = filler.last() + 1;
    out.push_back(std::move(filler));
  }
}

}  // namespace

Status GapFiller::replay(const RecordView& record) {
  if (record.kind == RecordKind::truncate) {
    ByteCursor cursor(record.payload);
    spans_.erase(spans_.lower_bound(Offset(cursor.varint())), spans_.end());
    return {};
  }
  if (record.kind != RecordKind::entry && record.kind != RecordKind::copied_entry) return {};
  const Entry entry = TRY(decode_entry(record.payload));
  const Span span{entry.last(), entry.term, entry.append_ms};
  if (record.kind == RecordKind::copied_entry) {
    spans_.emplace(entry.first, span);
  } else {
    spans_.insert_or_assign(entry.first, span);
  }
  return {};
}

LogMs GapFiller::newest_append_ms() const {
  return spans_.empty() ? LogMs(0) : spans_.rbegin()->second.append_ms;
}

std::vector<Entry> GapFiller::fill(const Known& known, uint8_t kind) const {
  std::vector<Entry> out;
  Entry like;
  like.kind = kind;
  like.term = Term(1);
  Offset last = known.sealed;
  for (const auto& [first, span] : spans_) {
    if (span.last <= known.sealed) continue;
    // The time of the next entry is not below that of the one before the gap.
    like.term = span.term;
    like.append_ms = span.append_ms;
    fill_one(last + 1, first - 1, like, out);
    last = span.last;
  }
  like.append_ms = std::max(like.append_ms, known.applied_ms);
  fill_one(last + 1, known.applied, like, out);
  return out;
}

}  // namespace clickmill::log
