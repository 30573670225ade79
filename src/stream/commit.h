#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "state/store.h"
#include "stream/checkpoint.h"
#include "stream/parts.h"

namespace clickmill::stream {

/// A checkpoint on its way to the disk: made by Pipeline::begin_checkpoint() with all
/// it needs, so that the stream goes on meanwhile, and handed back to
/// Pipeline::end_checkpoint(). The pipeline may be gone by then; `store`, `files` and
/// `shelf` are borrowed and outlive it.
class Commit {
 public:
  struct Work {
    state::Slot slot;
    state::Store& store;
    FileSystem& files;
    Checkpoint record;                    ///< parts: without what `flush` writes
    state::Batch batch;                   ///< all but the record
    std::shared_ptr<Parts::Flush> flush;  ///< null: none
    std::vector<std::string> replaced;    ///< files to unlink, or release, once it is durable
    store::Shelf* shelf = nullptr;        ///< borrowed; null: each part has a file of its own
  };
  explicit Commit(Work work) : work_(std::move(work)) {}

  /// Writes and syncs the parts, then commits batch and record, synced, then unlinks.
  /// The first call does it; others wait for that and give the same answer. After an
  /// error it isn't known whether the commit will be found after a crash.
  /// Thread: any. Cost: milliseconds to seconds.
  Status run();
  /// The same for several of one node, whose parts go into one file, with one sync for all the
  /// parts and one for all the batches. What hinders one alone doesn't hinder the others. Those
  /// that somebody runs meanwhile, or has run, are left out: run() has each one's answer.
  static void run_together(const std::vector<std::shared_ptr<Commit>>& commits);

 private:
  friend class Pipeline;
  friend class JointWrite;
  void unlink_replaced();

  Work work_;
  std::mutex mutex_;  // guards all: one runs it, whoever ends it waits for that
  std::optional<Status> done_;
};

}  // namespace clickmill::stream
