#pragma once

#include <span>
#include <vector>

#include "query/aggregate.h"
#include "query/rows.h"

namespace clickmill::query {

/// Finds the bucket of an instant among rising starts. Quick for neighbours in time.
class BucketIndex {
 public:
  /// `starts` is not empty and outlives this; `end_ms` ends the last bucket.
  BucketIndex(const std::vector<int64_t>& starts, int64_t end_ms)
      : starts_(starts), end_ms_(end_ms) {}
  /// `at_ms` lies in one of the buckets.
  size_t of(int64_t at_ms);
  int64_t begin_ms(size_t index) const { return starts_[index]; }
  int64_t end_ms(size_t index) const {
    return index + 1 < starts_.size() ? starts_[index + 1] : end_ms_;
  }
  size_t size() const { return starts_.size(); }

 private:
  const std::vector<int64_t>& starts_;
  int64_t end_ms_;
  size_t last_ = 0;
};

/// Fills unique_users of every bucket and of the total (invariant 6): a bucket of one
/// row has its row's stored estimate, already set; one of several is the union of its
/// rows' sketches, the total the union of all. `rows_of[i]`: number of rows of bucket i, or
/// 2 where its one row's estimate can't be used. None is above its clicks, and the total
/// not below a bucket (invariant 7).
/// Memory: the sketches of a few thousand buckets at a time.
Status fill_unique_users(const Rows& rows, const store::Scan& ids, const Plan& plan,
                         const store::TableTimes& deleted, BucketIndex& index,
                         const std::vector<uint32_t>& rows_of, ClicksAnswer& answer);

}  // namespace clickmill::query
