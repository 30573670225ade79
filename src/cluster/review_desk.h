#pragma once

#include <optional>
#include <vector>

#include "base/result.h"
#include "cluster/elsewhere.h"
#include "cluster/version_reader.h"
#include "stream/changes.h"
#include "stream/review.h"

namespace clickmill::cluster {

/// Where an operator's questions and decisions about flagged clicks meet the
/// partitions. Each call is one step on the worker of one partition, of bounded
/// work. Errors: as of ask(). Thread: query (blocks).
class ReviewDesk {
 public:
  /// `elsewhere`: borrowed; null: only what is on this node is answered.
  explicit ReviewDesk(Owned& owned, const Elsewhere* elsewhere = nullptr)
      : owned_(owned), elsewhere_(elsewhere) {}

  /// Offset of the last record that the partition has applied.
  Result<Offset> applied(PartitionId partition) const;
  Result<stream::ReviewPage> list(PartitionId partition, const stream::ReviewQuery& query) const;

  /// What is known of a click: open, decided, or neither (unknown or expired).
  struct Standing {
    std::optional<stream::ReviewEntry> open;
    bool decided = false;
  };
  Result<Standing> find(PartitionId partition, Offset click) const;

  /// Appends the decision to the partition's log and waits until it is applied.
  /// Gives the clicks that were decided by it: not those for which another came first.
  Result<std::vector<Offset>> decide(PartitionId partition, stream::Decision decision) const;

  /// What was changed by hand (see Changes::list).
  Result<std::vector<stream::Changes::Listed>> changes(PartitionId partition,
                                                       const stream::ChangePosition& from, LogMs to,
                                                       size_t limit) const;

 private:
  bool elsewhere(PartitionId id) const { return elsewhere_ != nullptr && elsewhere_->is(id); }

  Owned& owned_;
  const Elsewhere* const elsewhere_;
};

}  // namespace clickmill::cluster
