#pragma once

#include <atomic>
#include <cstdint>

namespace clickmill::http {

/// What the large bodies of all connections may hold together, read and not yet worked
/// off, so that many of them at once don't take the node's memory.
/// Thread: any.
class BodyBudget {
 public:
  explicit BodyBudget(uint64_t bytes_most) : bytes_most_(bytes_most) {}
  /// False, and nothing taken, when they don't fit.
  [[nodiscard]] bool take(uint64_t bytes);
  void give_back(uint64_t bytes) { held_ -= bytes; }
  uint64_t held() const { return held_; }

 private:
  const uint64_t bytes_most_;
  std::atomic<uint64_t> held_{0};
};

}  // namespace clickmill::http
