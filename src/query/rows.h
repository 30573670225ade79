#pragma once

#include <functional>
#include <span>
#include <vector>

#include "query/plan.h"
#include "store/version.h"

namespace clickmill::query {

/// What several versions hold, read as one: a part is in one of them alone. Borrows them. Thread:
/// one at a time.
class Rows {
 public:
  explicit Rows(std::span<const store::Version> versions);

  /// Rows of a part have their sketch in `view.visitors`, those in memory in the second
  /// argument (null for those of parts).
  using Visit = store::MemoryRows::Visit;
  /// Every row that the plan and the scan's ids and columns ask for, once; the scan's own
  /// times are ignored. A head row stands in for hours and days too: it is shown as the
  /// plan's table would hold it.
  Status scan(const store::Scan& wanted, const Plan& plan, const Visit& visit) const;
  /// Those of them that stand in parts, and the others.
  Status scan_parts(const store::Scan& wanted, const Plan& plan, const store::Visit& visit) const;
  void scan_memory(const store::Scan& wanted, const Plan& plan, const Visit& visit) const;
  /// The same as sums, several for one ad: by part, piece and head row.
  Status sum(store::Scan wanted, const Plan& plan, const store::VisitSum& visit) const;
  /// Rows of any time: of parts those of the coarsest table that has some, and of heads
  /// as days.
  Status scan_any(store::Scan wanted, const store::Visit& visit) const;

  /// Each part's number, and the first and last instants of its rows.
  void each_part_number(const std::function<void(uint64_t, int64_t, int64_t)>& show) const;

  /// Log time of every version has passed that instant and its grace.
  bool passed(int64_t end_ms) const { return end_ms <= passed_ms_; }
  /// Every click answered before it is in the versions.
  int64_t as_of_ms() const { return as_of_ms_; }

 private:
  template <typename ShowPart>
  Status each_part(store::Scan& wanted, const Plan& plan, const ShowPart& show) const;
  template <typename Show>
  void each_frozen(store::Scan& wanted, const Plan& plan, const Show& show) const;
  template <typename ShowRow>
  void each_head_row(const store::Scan& wanted, const Plan& plan, const ShowRow& show) const;

  std::span<const store::Version> versions_;
  std::array<std::vector<const store::Part*>, store::kTables> parts_;
  int64_t passed_ms_ = 0;
  int64_t as_of_ms_ = 0;
};

}  // namespace clickmill::query
