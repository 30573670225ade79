#pragma once

#include <cstdint>

#include "base/clock.h"

namespace clickmill::simulation {

/// A node's own clock beside the time that passes: it runs a little fast or slow, and its wall
/// clock may be wrong by any amount, and be put right, at any moment. Whether it counts as
/// synchronised says nothing of that. What it calls monotonic is that over restarts too.
class SimClock final : public Clock {
 public:
  /// `world` is borrowed.
  explicit SimClock(const Clock& world) : world_(world), since_ns_(world.monotonic_ns()) {}

  int64_t wall_ms() const override { return world_.wall_ms() + off_ms_ + drifted_ns() / 1'000'000; }
  int64_t monotonic_ns() const override { return world_.monotonic_ns() + lead_ns_ + drifted_ns(); }
  bool synchronised() const override { return synchronised_; }

  /// Its wall clock is so far ahead of the world's from now on.
  void set(int64_t off_ms, bool synchronised) {
    lead_ns_ += drifted_ns();
    since_ns_ = world_.monotonic_ns();
    off_ms_ = off_ms;
    synchronised_ = synchronised;
  }
  /// It gains so many seconds in a million.
  void drift(int64_t ppm) {
    off_ms_ += drifted_ns() / 1'000'000;
    lead_ns_ += drifted_ns();
    since_ns_ = world_.monotonic_ns();
    ppm_ = ppm;
  }

 private:
  int64_t drifted_ns() const { return (world_.monotonic_ns() - since_ns_) / 1'000'000 * ppm_; }

  const Clock& world_;
  int64_t since_ns_;
  int64_t lead_ns_ = 0;  ///< gained before that
  int64_t off_ms_ = 0;
  int64_t ppm_ = 0;
  bool synchronised_ = true;
};

}  // namespace clickmill::simulation
