#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/strong.h"

namespace clickmill::cluster {

/// Clicks of one partition on their way from a node's spool to the partition's leader.
struct Batch {
  std::string sender;   ///< node_id
  bool again = false;   ///< may have been sent before
  ArrivalMs low_water;  ///< the sender's for this partition, not above any click in it
  ArrivalMs newest;     ///< highest received_ms among the records
  std::vector<std::string> records;
};
/// Called once: success when the batch is committed, else why it may not be.
/// An error leaves open whether it will be: send it again as `again`.
using Committed = std::function<void(Status)>;

/// Brings a batch to the leader of its partition, wherever that is.
/// Thread: worker of the partition, which also calls `committed`.
class ClickRouter {
 public:
  virtual ~ClickRouter() = default;
  virtual void send(PartitionId partition, Batch&& batch, Committed committed) = 0;
};

}  // namespace clickmill::cluster
