// A packed stretch, in memory only: { varint position, minus the one before |
// svarint oldest, minus the one before | varint clicks | u8 again, copied << 1 }.
#include "collector/backlog.h"

#include <algorithm>

#include "base/assert.h"
#include "base/bytes.h"

namespace clickmill::collector {
namespace {

constexpr size_t kPackedRuns = 128;

ArrivalMs oldest_of(const std::deque<Backlog::Run>& runs, ArrivalMs so_far) {
  for (const Backlog::Run& run : runs) so_far = std::min(so_far, run.oldest);
  return so_far;
}

}  // namespace

ArrivalMs Backlog::oldest() const {
  ArrivalMs oldest = oldest_of(tail_, oldest_of(head_, ArrivalMs(INT64_MAX)));
  for (const Packed& packed : middle_) oldest = std::min(oldest, packed.oldest);
  return oldest;
}

/// A group has at most one run of either sort; tail_.size() when it has none.
size_t Backlog::newest(JournalPos position, bool copied) const {
  for (size_t i = tail_.size(); i-- > 0 && tail_[i].position == position;) {
    if (tail_[i].copied == copied) return i;
  }
  return tail_.size();
}

void Backlog::add(const Run& more) {
  const size_t at = newest(more.position, more.copied);
  if (at < tail_.size()) {
    tail_[at].clicks += more.clicks;
    tail_[at].oldest = std::min(tail_[at].oldest, more.oldest);
    return;
  }
  tail_.push_back(more);
  if (tail_.size() == 2 * kPackedRuns) pack_tail();
}

void Backlog::pack_tail() {
  const auto end = tail_.begin() + kPackedRuns;
  if (head_.empty()) {
    head_.assign(tail_.begin(), end);
  } else {
    Packed packed{{}, ArrivalMs(INT64_MAX)};
    ByteWriter writer(packed.bytes);
    Run before{};
    for (auto run = tail_.begin(); run != end; ++run) {
      writer.varint(run->position - before.position);
      writer.svarint(run->oldest - before.oldest);
      writer.varint(run->clicks);
      writer.u8(static_cast<uint8_t>((run->again ? 1 : 0) | (run->copied ? 2 : 0)));
      packed.oldest = std::min(packed.oldest, run->oldest);
      before = *run;
    }
    packed.bytes.shrink_to_fit();
    middle_.push_back(std::move(packed));
  }
  tail_.erase(tail_.begin(), end);
}

std::vector<Backlog::Run> Backlog::unpack(const Packed& packed) {
  std::vector<Run> runs;
  ByteCursor cursor(packed.bytes);
  Run run{};
  while (!cursor.empty()) {
    run.position = run.position + cursor.varint();
    run.oldest = run.oldest + cursor.svarint();
    run.clicks = static_cast<uint32_t>(cursor.varint());
    const uint8_t flags = cursor.u8();
    run.again = (flags & 1) != 0;
    run.copied = (flags & 2) != 0;
    runs.push_back(run);
  }
  CM_ASSERT(cursor.done());
  return runs;
}

void Backlog::pop_front() {
  if (head_.empty()) return tail_.pop_front();
  head_.pop_front();
  if (!head_.empty() || middle_.empty()) return;
  const auto runs = unpack(middle_.front());
  head_.assign(runs.begin(), runs.end());
  middle_.pop_front();
}

uint64_t Backlog::memory_bytes() const {
  uint64_t bytes = (head_.size() + tail_.size()) * sizeof(Run);
  for (const Packed& packed : middle_) bytes += sizeof(Packed) + packed.bytes.capacity();
  return bytes;
}

}  // namespace clickmill::collector
