#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "cluster/owned.h"
#include "store/shelf.h"
#include "stream/shelf_work.h"

namespace clickmill::cluster {

/// Puts the parts of this node's partitions together, as they age, into files that all share
/// (stream/shelf_plan.h says when), so that five years are some hundred files.
///
/// One step at a time: every partition is asked for its parts, then to keep those that are chosen;
/// they are written in the background, one partition's after the other, so that other work
/// comes between; then each partition takes its own. Whoever is not well is left out.
/// Thread: step() worker 0, the metrics any. Its messages and tasks point to it: workers and
/// background end before it goes.
class Shelving {
 public:
  struct Options {
    stream::ShelfRules rules;
    std::string directory;
    int64_t every_ms = 10'000;
    /// Runs a task on the background thread; false when it can't now.
    std::function<bool(std::function<void()>)> in_background;
  };
  /// All are borrowed.
  Shelving(Options options, Owned& owned, FileSystem& files, store::Shelf& shelf,
           const Clock& clock);

  /// Begins what is due, if nothing is under way. Call now and then.
  void step();

  uint64_t steps() const { return steps_; }
  uint64_t steps_failed() const { return steps_failed_; }
  uint64_t bytes_written() const { return bytes_written_; }

 private:
  struct Asked;
  using Work = std::shared_ptr<stream::ShelfWork>;
  /// Runs `question` for each of `ids` on its worker, then `then` on the last one's.
  void ask(const std::vector<PartitionId>& ids, std::function<void(size_t, Partition&)> question,
           std::function<void()> then);
  void background(std::function<void()> task);
  void plan(const std::vector<stream::ShelfView>& views);
  void keep(stream::ShelfPlan plan);
  void write(const Work& work);
  void hand_out(const Work& work);
  void end(bool again);
  void failed(const Error& why);

  const Options options_;
  Owned& owned_;
  FileSystem& files_;
  store::Shelf& shelf_;
  const Clock& clock_;
  std::atomic<bool> under_way_{false};
  std::atomic<int64_t> next_ns_{0};
  std::atomic<uint64_t> steps_{0};
  std::atomic<uint64_t> steps_failed_{0};
  std::atomic<uint64_t> bytes_written_{0};
};

}  // namespace clickmill::cluster
