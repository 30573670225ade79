#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/metrics.h"
#include "log/retention.h"
#include "log/scrub.h"

namespace clickmill::log {

/// Looks after the sealed log on a thread of its own: drops old segments every
/// few minutes, and reads everything once a month to find what has rotted.
///
/// What it must remember over restarts (the trusted time, scrub times, what the last
/// scrubs found) stands in the file `upkeep` of the data directory. A sweep that can't write it
/// deletes nothing by age. A file `retention.now` in the data directory, made by `clickmill
/// retention --now`, lifts a hold and starts a sweep within a second; it is removed
/// when that is done.
/// Thread: start, stop, round by the owner; warnings any.
class Upkeep {
 public:
  /// What one partition's worker told last.
  struct Needs {
    Offset from;     ///< first offset that the stream's durable checkpoint doesn't cover
    LogMs log_time;  ///< 0: not known yet
  };
  struct Options {
    std::string directory;  ///< the data directory
    RetentionRules rules;
    int64_t sweep_interval_ms = 600'000;
    /// Of a partition. Thread: any.
    std::function<Needs(size_t)> needs;
    /// An operator has vouched for the clock; may be empty. Thread: the upkeep's.
    std::function<void()> on_vouched = nullptr;
    /// Is told a time that may be believed, every round. Empty: nobody is.
    std::function<void(int64_t)> tell_time = nullptr;
  };
  /// `segments`, by partition, `files` and `clock` are borrowed and outlive it.
  /// `newest`: the newest log time that the node found; 0: none. What is decided
  /// about the clock is durable on return, thus before new log time can hide a jump.
  static Result<std::unique_ptr<Upkeep>> open(FileSystem& files, const Clock& clock,
                                              std::vector<Segments*> segments, LogMs newest,
                                              Options options);
  ~Upkeep() { stop(); }
  Upkeep(const Upkeep&) = delete;
  Upkeep& operator=(const Upkeep&) = delete;

  void add_metrics(Metrics& metrics);
  void start();
  void stop();
  /// Does what is due. For the thread, and for tests without one.
  void round();
  /// What an operator should know though the node is ready.
  std::vector<std::string> warnings() const;

  /// The marker that `clickmill retention --now` leaves.
  static std::string lift_marker(const std::string& directory) {
    return directory + "/retention.now";
  }

 private:
  Upkeep(FileSystem& files, const Clock& clock, std::vector<Segments*> segments, Options options);
  struct Saved;
  Result<Saved> load() const;
  /// None of a damaged file or one of another version.
  std::optional<Saved> decode(std::string_view bytes) const;
  Status save() const;
  void take_in_marker();
  void sweep_if_due();
  void sweep(bool by_age);
  void scrub_if_due();
  void scrub(size_t partition);
  bool pause(int64_t nanoseconds);
  bool stopping() const;
  uint64_t log_bytes() const;
  void publish_hold();

  FileSystem& files_;
  const Clock& clock_;
  const std::vector<Segments*> segments_;
  const Options options_;
  // The upkeep thread's own, after open.
  std::unique_ptr<AgeGuard> guard_;
  std::unique_ptr<ScrubPlan> scrubs_;
  int64_t next_sweep_ns_ = 0;

  struct Stats {
    Counter dropped_bytes;
    Counter scrubbed_blocks;
    Counter scrub_damaged;
    Gauge scrub_last_ms;
  };
  Stats stats_;
  mutable std::mutex mutex_;  ///< guards the three below, between the thread and readers
  std::condition_variable wake_;
  bool stopping_ = false;
  int64_t hold_left_ms_ = 0;
  std::vector<std::string> damage_;  ///< by partition: what its last scrub found
  std::thread thread_;
};

}  // namespace clickmill::log
