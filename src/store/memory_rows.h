#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "sketch/hll.h"
#include "store/row.h"
#include "store/scan.h"

namespace clickmill::store {

/// Minute rows in memory that nobody changes any more: on their way to a part, and read as
/// one. Whoever asks pays for it, on its own thread, and for no more than it asks for.
/// Thread: any.
class MemoryRows {
 public:
  /// The sketch, where the scan wants visitors, stands beside the view, which has none then.
  using Visit = std::function<void(const RowView& view, const sketch::Hll* visitors)>;
  virtual ~MemoryRows() = default;
  /// Visits what rows of the table a part of these minutes would have: in key order, the times
  /// being whole buckets of the table.
  virtual void scan(Table table, const Scan& scan, const Visit& visit) const = 0;
  /// Visits the sums per (advertiser, ad) that has matching rows, in key order.
  virtual void sum(const Scan& scan, const VisitSum& visit) const = 0;
};
using MemoryRowsList = std::vector<std::shared_ptr<const MemoryRows>>;

/// Adds copies of the matching minute rows.
void copy_rows(const MemoryRowsList& list, const Scan& scan, std::vector<Row>& rows);

}  // namespace clickmill::store
