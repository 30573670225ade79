#include "stream/recent_ids.h"

#include <algorithm>
#include <limits>

#include "base/assert.h"

namespace clickmill::stream {
namespace {
constexpr size_t kSlotsMin = 64;
}

void RecentIds::insert(const Hash128& id, int64_t hour) {
  CM_ASSERT(ids_.size() < std::numeric_limits<uint32_t>::max());
  CM_DEBUG_ASSERT(starts_.empty() || starts_.back().hour <= hour);
  if (starts_.empty() || starts_.back().hour != hour) starts_.push_back({hour, ids_.size()});
  ids_.push_back(id);
  if (ids_.size() * 2 > slots_.size()) {
    grow();
  } else {
    place(ids_.size() - 1);
  }
}

void RecentIds::place(size_t index) {
  const size_t mask = slots_.size() - 1;
  size_t slot = ids_[index].high & mask;
  while (slots_[slot] != 0) slot = (slot + 1) & mask;
  slots_[slot] = static_cast<uint32_t>(index + 1);
}

void RecentIds::grow() {
  slots_.assign(std::max(kSlotsMin, slots_.size() * 2), 0);
  for (size_t i = 0; i < ids_.size(); ++i) place(i);
}

std::optional<int64_t> RecentIds::newest_hour(const Hash128& id) const {
  if (slots_.empty()) return {};
  const size_t mask = slots_.size() - 1;
  size_t newest = 0;  // index + 1
  for (size_t slot = id.high & mask; slots_[slot] != 0; slot = (slot + 1) & mask) {
    const size_t place = slots_[slot];
    if (place > newest && ids_[place - 1] == id) newest = place;
  }
  if (newest == 0) return {};
  return hour_at(newest - 1);
}

int64_t RecentIds::hour_at(size_t index) const {
  auto start = starts_.rbegin();
  while (start->index > index) ++start;
  return start->hour;
}

std::vector<RecentIds::Run> RecentIds::runs() const {
  std::vector<Run> runs;
  for (size_t i = 0; i < starts_.size(); ++i) {
    const size_t end = i + 1 < starts_.size() ? starts_[i + 1].index : ids_.size();
    runs.push_back({starts_[i].hour,
                    std::span(ids_).subspan(starts_[i].index, end - starts_[i].index)});
  }
  return runs;
}

void RecentIds::clear() {
  // Half as many slots as this interval needed at most: steady traffic keeps its
  // memory, a peak's goes within a few checkpoints.
  if (ids_.size() * 8 < slots_.size()) {
    slots_ = std::vector<uint32_t>(slots_.size() / 2 < kSlotsMin ? 0 : slots_.size() / 2);
  } else {
    std::fill(slots_.begin(), slots_.end(), 0);
  }
  if (ids_.size() * 4 < ids_.capacity()) ids_ = {};
  ids_.clear();
  starts_.clear();
}

uint64_t RecentIds::memory_bytes() const {
  return ids_.capacity() * sizeof(Hash128) + slots_.capacity() * sizeof(uint32_t) +
         starts_.capacity() * sizeof(Start);
}

}  // namespace clickmill::stream
