#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>

#include "base/result.h"

namespace rocksdb {
class FileSystem;
}

namespace clickmill::state {

/// What one open RocksDB has met on its disk. After the first write that failed
/// the disk is left as it is: everything that would change it is said to have
/// worked and isn't done, as if the process had been killed at that instant. So
/// RocksDB, which may end the process when it writes on behind a failure, never
/// learns of one, and whoever holds it opens another from what the disk has.
/// Thread: any.
class FailStop {
 public:
  /// `on_stop` is called once, on the thread that met the failure; it must not block.
  explicit FailStop(std::function<void()> on_stop) : on_stop_(std::move(on_stop)) {}
  bool stopped() const { return stopped_.load(std::memory_order_acquire); }
  /// The first failure; a plain Errc::io before there was one.
  Error cause() const;
  /// Nothing is written from now on.
  void stop(const Error& cause);
  /// Waits until what had begun before the stop is done.
  void drain() const { const std::unique_lock lock(writing_); }
  /// Held by each change of the disk while it lasts.
  std::shared_mutex& writing() { return writing_; }

 private:
  std::function<void()> on_stop_;
  std::atomic<bool> stopped_{false};
  // Shared by writes, whole for drain(): a mailbox can't say that a write has ended.
  mutable std::shared_mutex writing_;
  // Guards the cause, which is set once.
  mutable std::mutex mutex_;
  std::optional<Error> cause_;
};

/// See Disk.
using BeforeWrite = std::function<Status(const std::string& path)>;

/// The disk under a RocksDB, with `fail_stop` in front of it.
std::shared_ptr<rocksdb::FileSystem> fail_stop_disk(std::shared_ptr<FailStop> fail_stop,
                                                    BeforeWrite before_write);

}  // namespace clickmill::state
