#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>

#include "stream/commit.h"

namespace clickmill::stream {

/// Checkpoints of a node's partitions on their way to the disk: whatever waits when a thread is
/// free is written together (Commit::run_together), so that the busier the disk is, the fewer
/// files and syncs a checkpoint costs; what waits for nobody is written at once.
/// Thread: any.
class JointCommits {
 public:
  /// Runs a task on one of a few threads; false when it can't now.
  using Run = std::function<bool(std::function<void()>)>;
  explicit JointCommits(Run run);

  /// `done` is called once the commit has its answer, on the thread that wrote it. False: it is
  /// not taken, and `done` never called.
  bool add(std::shared_ptr<Commit> commit, std::function<void()> done);

 private:
  struct Waiting {
    std::shared_ptr<Commit> commit;
    std::function<void()> done;
  };
  struct Queue {
    std::mutex mutex;  // guards the rest
    std::deque<Waiting> waiting;
  };
  static void write_some(Queue& queue);

  const Run run_;
  const std::shared_ptr<Queue> queue_ = std::make_shared<Queue>();  // tasks may outlive this
};

}  // namespace clickmill::stream
