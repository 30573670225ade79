#pragma once

#include <memory>
#include <string>
#include <vector>

#include "stream/changes.h"
#include "stream/parts.h"
#include "stream/repair.h"

namespace clickmill::stream {

/// A repair entry that is being applied: rewriting parts takes up to minutes, so it
/// happens on another thread while the entries behind it wait. Made by
/// Pipeline::begin_repair(), handed back to end_repair().
class RepairJob {
 public:
  /// `closed_before`: later minutes still grow, and are repaired once they are closed.
  RepairJob(Offset record, Repair repair, int64_t closed_before,
            std::shared_ptr<Parts::Rewrite> rewrite)
      : record_(record),
        repair_(std::move(repair)),
        closed_before_(closed_before),
        rewrite_(std::move(rewrite)) {}

  /// Finds which rows are stored as the repair says that they were, and writes parts
  /// that have them as they should be. Thread: any one.
  Status run();
  /// What run() changed, in order.
  const std::vector<Change>& changes() const { return changes_; }
  const Parts::Rewrite& rewrite() const { return *rewrite_; }

 private:
  Change change_of(const Repair::Item& item, const store::Row& stored) const;

  const Offset record_;
  const Repair repair_;
  const int64_t closed_before_;
  const std::shared_ptr<Parts::Rewrite> rewrite_;
  std::vector<Change> changes_;
};

}  // namespace clickmill::stream
