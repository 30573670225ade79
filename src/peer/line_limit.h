#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

namespace clickmill::peer {

/// So many lines about the same thing in so much time: one. Thread: one at a time.
/// Memory: bounded; when too many things are talked of, strangers share one line.
class LineLimit {
 public:
  static constexpr size_t kThingsMost = 1'024;
  explicit LineLimit(int64_t every_ms) : every_ms_(every_ms) {}

  bool admits(const std::string& thing, int64_t now_ms) {
    if (last_ms_.size() >= kThingsMost && !last_ms_.contains(thing)) forget(now_ms);
    const bool room = last_ms_.size() < kThingsMost || last_ms_.contains(thing);
    const auto [at, fresh] = last_ms_.try_emplace(room ? thing : std::string(), now_ms);
    if (!fresh && now_ms - at->second < every_ms_) return false;
    at->second = now_ms;
    return true;
  }

 private:
  void forget(int64_t now_ms) {
    std::erase_if(last_ms_, [&](const auto& one) { return now_ms - one.second >= every_ms_; });
  }
  const int64_t every_ms_;
  std::unordered_map<std::string, int64_t> last_ms_;
};

}  // namespace clickmill::peer
