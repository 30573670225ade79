#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/strong.h"

namespace clickmill::cluster {

/// Click records that a batch and whoever may have to send it again hold together: a copy of
/// each would cost more than all else that is done with it on the way. Thread: any.
class SharedRecords {
 public:
  using Records = std::vector<std::string>;
  SharedRecords() = default;
  SharedRecords(Records&& records) : held_(std::make_shared<const Records>(std::move(records))) {}
  operator const Records&() const { return *held_; }
  size_t size() const { return held_->size(); }
  const std::string& operator[](size_t at) const { return (*held_)[at]; }
  auto begin() const { return held_->begin(); }
  auto end() const { return held_->end(); }

 private:
  static const std::shared_ptr<const Records>& none() {
    static const auto empty = std::make_shared<const Records>();
    return empty;
  }
  std::shared_ptr<const Records> held_ = none();
};

/// Clicks of one partition on their way from a node's spool to the partition's leader.
struct Batch {
  std::string sender;   ///< node_id
  bool again = false;   ///< may have been sent before
  ArrivalMs low_water;  ///< the sender's for this partition, not above any click in it
  ArrivalMs newest;     ///< highest received_ms among the records
  SharedRecords records;
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
