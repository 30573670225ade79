#pragma once

#include <cstddef>
#include <cstdint>

#include "sketch/dense.h"

namespace clickmill::sketch {

/// Distinct hashes behind this many distinct 17-bit prefixes (linear counting),
/// rounded. Both estimates use only operations that IEEE 754 defines exactly:
/// every machine answers the same.
uint64_t estimate_sparse(size_t entries);
/// Distinct hashes behind the registers: Ertl, arXiv 1702.01284, Algorithm 6, rounded; but
/// never fewer than kDenseLeast. It grows with every register, so no element lowers an estimate.
uint64_t estimate_dense(const Registers& registers);

/// A sketch turns dense at one entry more than a sparse one can hold, so what those entries
/// count to is the least that a dense one can mean.
inline constexpr uint64_t kDenseLeast = 1029;
/// Whether an estimate that stands in a file may be lower than its sketch's is now: it may be
/// a dense one's from before there was a least. 900 is eleven standard errors below the
/// smallest dense set.
inline constexpr bool may_be_older(uint64_t estimate) {
  return estimate >= 900 && estimate < kDenseLeast;
}

}  // namespace clickmill::sketch
