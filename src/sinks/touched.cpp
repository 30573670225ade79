#include "sinks/touched.h"

#include <algorithm>

namespace clickmill::sinks {

Touched::Touch& Touched::touch(const KeyView& key, Offset at, LogMs append_ms) {
  auto found = rows_.find(key);
  if (found == rows_.end()) {
    Key own{std::string(key.advertiser_id), std::string(key.ad_id), key.minute_ms};
    found = rows_.emplace(std::move(own), Touch{at, at, append_ms}).first;
  }
  found->second.last = at;
  return found->second;
}

void Touched::add(const KeyView& key, Offset at, LogMs append_ms) { touch(key, at, append_ms); }

void Touched::add_repaired(const KeyView& key, Offset at, LogMs append_ms) {
  touch(key, at, append_ms).repaired = true;
}

std::vector<Touched::Key> Touched::due(const Due& due, size_t most) {
  std::vector<Key> keys;
  const auto take = [&](auto from, auto to) {
    for (; from != to && keys.size() < most; ++from) {
      if (due.holds(from->first.minute_ms)) keys.push_back(from->first);
    }
    return from;
  };
  const auto middle = rows_.lower_bound(next_);
  auto end = take(middle, rows_.end());
  if (end == rows_.end()) end = take(rows_.begin(), middle);
  next_ = end == rows_.end() ? Key() : end->first;
  std::sort(keys.begin(), keys.end(), Less());
  return keys;
}

bool Touched::repaired(const KeyView& key) const {
  const auto found = rows_.find(key);
  return found != rows_.end() && found->second.repaired;
}

void Touched::sent(const KeyView& key, Offset applied, LogMs log_time) {
  const auto found = rows_.find(key);
  if (found == rows_.end()) return;
  if (found->second.last <= applied) {
    rows_.erase(found);
  } else {
    found->second.first = std::max(found->second.first, applied + 1);
    found->second.since = std::max(found->second.since, log_time);
  }
}

std::optional<Offset> Touched::oldest() const {
  std::optional<Offset> oldest;
  for (const auto& [key, touch] : rows_) {
    if (!oldest || touch.first < *oldest) oldest = touch.first;
  }
  return oldest;
}

std::optional<Touched::Behind> Touched::oldest(const Due& due) const {
  std::optional<Behind> oldest;
  for (const auto& [key, touch] : rows_) {
    if (!due.holds(key.minute_ms)) continue;
    // A minute that is far ahead was due at once.
    const int64_t since = key.minute_ms >= due.far_ms
                              ? touch.since.value()
                              : std::max(touch.since.value(), key.minute_ms + kMinuteMs);
    if (!oldest) oldest = Behind{touch.first, since};
    oldest->first = std::min(oldest->first, touch.first);
    oldest->since_ms = std::min(oldest->since_ms, since);
  }
  return oldest;
}

}  // namespace clickmill::sinks
