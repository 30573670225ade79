#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/file_system.h"
#include "engine/data_dir.h"
#include "engine/machine.h"

namespace clickmill::engine {

/// Brings a machine that takes clicks to where it counts them: opens the stream's state
/// and the partitions, and reads the journal; on a thread of its own, since redirects
/// must not wait for reports.
///
/// What a disk refuses for now (it is full, it fails) is tried again every second. State
/// that is damaged is set aside and rebuilt from the log; where the log doesn't reach
/// back, trouble() says so and clicks are only kept. Damage of the journal, or state that
/// is ahead of it, ends the node: a person must decide (clickmill recover).
/// Thread: start, stop by the owner; trouble any.
class Recovery {
 public:
  struct Outcome {
    /// What must be known before anything is opened; an error ends it. Empty: nothing.
    std::function<Status(const std::atomic<bool>& stopping)> first = nullptr;
    std::function<void()> recovered;  ///< the machine's workers may start
    std::function<void(Error)> lost;  ///< the node can't go on
  };
  /// All are borrowed and outlive it. Outcome: on its thread, one of them, at most once.
  /// `reserve_bytes`: what the state leaves free of the disk.
  Recovery(Machine& machine, const DataDir& dir, FileSystem& files, uint64_t reserve_bytes,
           Outcome outcome)
      : machine_(machine),
        dir_(dir),
        files_(files),
        reserve_bytes_(reserve_bytes),
        outcome_(std::move(outcome)) {}
  ~Recovery() { stop(); }
  Recovery(const Recovery&) = delete;
  Recovery& operator=(const Recovery&) = delete;

  void start();
  /// Ends it where it stands.
  void stop();
  /// Why it doesn't get on; empty: it does, or is done.
  std::string trouble() const;

 private:
  void run();
  Status open_counts();
  Status open_state();
  bool wait_a_moment();
  void set_trouble(std::string text);

  Machine& machine_;
  const DataDir& dir_;
  FileSystem& files_;
  const uint64_t reserve_bytes_;
  const Outcome outcome_;
  /// State can't be rebuilt: no use to try again.
  bool beyond_repair_ = false;
  std::atomic<bool> stopping_{false};
  mutable std::mutex mutex_;  ///< guards the text, and the wait for a stop
  std::condition_variable stop_;
  std::string trouble_;
  std::thread thread_;
};

}  // namespace clickmill::engine
