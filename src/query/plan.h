#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "query/buckets.h"
#include "store/retention.h"
#include "store/row.h"

namespace clickmill::query {

/// A stretch of time and the one table that is read for it.
struct Piece {
  store::Table table;
  int64_t from_ms;
  int64_t to_ms;
  friend bool operator==(const Piece&, const Piece&) = default;
};
/// In order of time and apart from each other, so that no row is counted twice.
using Plan = std::vector<Piece>;

/// Adds the stretch (whole minutes, not before what the plan has) cut into whole UTC
/// days, whole hours around them and minutes at the edges: the fewest rows that give it.
/// Rows of `deleted` times are not used; false when the others don't give all of it.
bool append_stretch(int64_t from_ms, int64_t to_ms, const store::TableTimes& deleted, Plan& plan);
/// For all of these buckets. Errc::invalid: rows that they need are deleted.
Result<Plan> plan_of(const BucketIndex& index, const store::TableTimes& deleted);

}  // namespace clickmill::query
