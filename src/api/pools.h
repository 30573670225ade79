#pragma once

#include "base/task_pool.h"

namespace clickmill::api {

/// Threads for what takes longer than a redirect may wait. Each kind of work has its own, so
/// that an import doesn't stop the dashboards, nor a decision about a million clicks a change
/// of one ad. What nobody looks at while it runs gives way to what somebody does.
/// Thread: submit any; construct and stop one.
struct Pools {
  explicit Pools(unsigned threads);
  /// Runs what waits, then ends the threads.
  void stop();

  TaskPool queries;    ///< whatever reads
  TaskPool bulk;       ///< bodies of clicks
  TaskPool catalog;    ///< changes of ads: they are synced
  TaskPool decisions;  ///< about clicks in review
  TaskPool nodes;      ///< answers to other nodes, whose own threads wait for them
};

}  // namespace clickmill::api
