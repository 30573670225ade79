#include "dedup/recent_ids.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/assert.h"

namespace clickmill::dedup {

namespace {
constexpr size_t kIdsKept = 256;
}

void RecentIds::insert(const Hash128& id, LogHour hour) {
  CM_ASSERT(ids_.size() < std::numeric_limits<uint32_t>::max());
  CM_DEBUG_ASSERT(starts_.empty() || starts_.back().hour <= hour);
  if (starts_.empty() || starts_.back().hour != hour) starts_.push_back({hour, ids_.size()});
  if (lists_.empty()) lists_.resize(size_t{1} << kListBits);
  lists_[list_of(id)].push_back({tag_of(id), static_cast<uint32_t>(ids_.size())});
  ids_.push_back(id);
}

std::optional<LogHour> RecentIds::newest_hour(const Hash128& id) const {
  if (lists_.empty()) return {};
  const auto& list = lists_[list_of(id)];
  const uint32_t tag = tag_of(id);
  for (auto entry = list.rbegin(); entry != list.rend(); ++entry) {
    if (entry->tag == tag && ids_[entry->index] == id) return hour_at(entry->index);
  }
  return {};
}

LogHour RecentIds::hour_at(size_t index) const {
  auto start = starts_.rbegin();
  while (start->index > index) ++start;
  return start->hour;
}

std::vector<RecentIds::Run> RecentIds::runs() const {
  std::vector<Run> runs;
  for (size_t i = 0; i < starts_.size(); ++i) {
    const size_t end = i + 1 < starts_.size() ? starts_[i + 1].index : ids_.size();
    runs.push_back(
        {starts_[i].hour, std::span(ids_).subspan(starts_[i].index, end - starts_[i].index)});
  }
  return runs;
}

void RecentIds::put_in_front(RecentIds&& older) {
  for (const Run& run : runs()) {
    for (const Hash128& id : run.ids) older.insert(id, run.hour);
  }
  *this = std::move(older);
}

void RecentIds::shrink(size_t size) {
  // The newest of its list is at the list's end.
  for (size_t i = ids_.size(); i > size; --i) lists_[list_of(ids_[i - 1])].pop_back();
  ids_.resize(std::min(size, ids_.size()));
  while (!starts_.empty() && starts_.back().index >= ids_.size()) starts_.pop_back();
}

void RecentIds::clear() {
  // Little traffic keeps its memory; what much of it takes would stand idle while the next ids
  // come into the other list of the two.
  if (ids_.capacity() > kIdsKept) {
    std::vector<Hash128>().swap(ids_);
    Lists().swap(lists_);
  }
  ids_.clear();
  for (auto& list : lists_) list.clear();
  starts_.clear();
}

uint64_t RecentIds::memory_bytes() const {
  uint64_t bytes = ids_.capacity() * sizeof(Hash128) + starts_.capacity() * sizeof(Start) +
                   lists_.capacity() * sizeof(Lists::value_type);
  for (const auto& list : lists_) bytes += list.capacity() * sizeof(Entry);
  return bytes;
}

}  // namespace clickmill::dedup
