#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "query/buckets.h"
#include "query/request.h"
#include "query/rows.h"

namespace clickmill::query {

/// What the parts give for a bucket, all in all: of people, or of machines.
struct BucketSum {
  bool any = false;  ///< there are rows
  store::Counts counts;
  std::string visitors;  ///< serialized
  uint64_t unique_estimate = 0;
  /// Of the newest row; of two in one stretch the later by name.
  int64_t newest_ms = 0;
  std::string advertiser_id;
};
struct BucketSums {
  BucketSum people;
  BucketSum machines;
};
/// A bucket that needs no part to be read.
struct SummedBucket {
  int64_t from_ms = 0;
  int64_t to_ms = 0;
  std::shared_ptr<const BucketSums> sums;
};

/// Rows, some buckets of which are summed already: those of parts show as one row of people and
/// one of machines then, of the newest's time and advertiser. Borrows the rows. Thread: one at a
/// time.
class SummedRows {
 public:
  SummedRows(const Rows& rows, std::vector<SummedBucket> summed)
      : rows_(rows), summed_(std::move(summed)) {}
  /// As Rows::scan; the plan's pieces end where the buckets do.
  Status scan(const store::Scan& wanted, const Plan& plan, const Rows::Visit& visit) const;
  /// Whether the bucket that begins then is summed.
  bool has(int64_t from_ms) const;
  const Rows& rows() const { return rows_; }

 private:
  const Rows& rows_;
  const std::vector<SummedBucket> summed_;
};

/// Sums for the hours and days that no row of a table holds alone: those of a zone whose offset
/// is no whole hour, or of an advertiser's ads. They are read from parts once and kept in
/// memory, each for as long as its parts are the same and it is asked for: parts never change.
/// None for other requests. In order of time. Cost: the rows of the buckets that aren't kept.
Result<std::vector<SummedBucket>> sum_buckets(const ClicksRequest& request, const Rows& rows,
                                              const store::Scan& wanted, const BucketIndex& index);

}  // namespace clickmill::query
