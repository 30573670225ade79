#pragma once

#include <span>
#include <vector>

#include "query/answer.h"
#include "query/bucket_sums.h"
#include "query/buckets.h"

namespace clickmill::query {

/// Fills unique_users of every bucket and of the total (invariant 6): a bucket of one
/// row has its row's stored estimate, already set; one of several is the union of its
/// rows' sketches, the total the union of all. `rows_of[i]`: number of rows of bucket i, or
/// 2 where its one row's estimate can't be used. None is above its clicks, and the total
/// not below a bucket (invariant 7).
/// Memory: the sketches of a few thousand buckets at a time.
Status fill_unique_users(const SummedRows& rows, const store::Scan& ids, const Plan& plan,
                         const store::TableTimes& deleted, BucketIndex& index,
                         const std::vector<uint32_t>& rows_of, ClicksAnswer& answer);

}  // namespace clickmill::query
