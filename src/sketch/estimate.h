#pragma once

#include <cstddef>
#include <cstdint>

#include "sketch/dense.h"

namespace clickmill::sketch {

/// Distinct hashes behind this many distinct 17-bit prefixes (linear counting),
/// rounded. Both estimates use only operations that IEEE 754 defines exactly:
/// every machine answers the same.
uint64_t estimate_sparse(size_t entries);
/// Distinct hashes behind the registers: Ertl, arXiv 1702.01284, Algorithm 6, rounded.
uint64_t estimate_dense(const Registers& registers);

}  // namespace clickmill::sketch
