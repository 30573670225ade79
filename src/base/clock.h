#pragma once

#include <atomic>
#include <cstdint>

namespace clickmill {

/// Where time comes from. An argument everywhere, so that tests drive it.
/// Thread: any.
class Clock {
 public:
  virtual ~Clock() = default;
  /// Milliseconds since 1970, UTC; may jump.
  virtual int64_t wall_ms() const = 0;
  /// Nanoseconds since some start; never goes back.
  virtual int64_t monotonic_ns() const = 0;
  /// Whether something trustworthy (NTP, PTP) keeps the wall clock right.
  virtual bool synchronised() const = 0;
};

class SystemClock final : public Clock {
 public:
  int64_t wall_ms() const override;
  int64_t monotonic_ns() const override;
  /// As the kernel says (adjtimex).
  bool synchronised() const override;
};

/// Stands still until a test moves it.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(int64_t wall_ms) : wall_ms_(wall_ms) {}
  int64_t wall_ms() const override { return wall_ms_.load(); }
  int64_t monotonic_ns() const override { return monotonic_ns_.load(); }
  bool synchronised() const override { return synchronised_.load(); }
  /// Moves both on.
  void advance_ms(int64_t step) {
    wall_ms_ += step;
    monotonic_ns_ += step * 1'000'000;
  }
  /// Moves the wall clock alone, as a wrong or corrected clock does.
  void set_wall_ms(int64_t value) { wall_ms_ = value; }
  void set_synchronised(bool value) { synchronised_ = value; }

 private:
  std::atomic<int64_t> wall_ms_;
  std::atomic<int64_t> monotonic_ns_{0};
  std::atomic<bool> synchronised_{false};
};

}  // namespace clickmill
