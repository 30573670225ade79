#pragma once

// sketch/ counts distinct visitors in little space. The store keeps a sketch per minute
// row, queries unite them, so that "unique users of any range" is the estimate of a union
// and never a sum. Plain values without threads or files: copy, merge, serialize.
// Promise: the same set of visitors gives the same bytes, whatever the order in which they
// came, so that replicas and a recount can be compared byte by byte.
// Begin with Hll; sparse.h holds few visitors exactly enough, dense.h any number.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sketch/dense.h"
#include "sketch/sparse.h"

namespace clickmill::sketch {

/// HyperLogLog of 64-bit hashes: how many distinct visitors, within 2 %.
/// 2^12 registers: standard error 1.04/sqrt(4096) = 1.6 %. Estimator: Ertl,
/// "New cardinality estimation algorithms for HyperLogLog sketches"
/// (arXiv 1702.01284), improved raw estimator.
///
/// Small sets are kept sparse (sorted hash prefixes, finer than the registers,
/// so small counts are nearly exact) and turn dense at a fixed size. In memory
/// that is 4 to 8 bytes a visitor up to 1,024 of them, then 4 KiB.
/// Canonical: serialize() depends on the set of hashes only, not on the order
/// of adds and merges that made it, and parse(serialize(x)) == x.
/// Formats: top of sparse.cpp and dense.cpp. Thread: one at a time; const calls any.
class Hll {
 public:
  static constexpr unsigned kPrecision = 12;

  Hll() = default;
  Hll(const Hll& other);
  Hll& operator=(const Hll& other);
  Hll(Hll&&) noexcept = default;
  Hll& operator=(Hll&&) noexcept = default;

  /// Adds one element by a well-mixed 64-bit hash of it.
  void add(uint64_t hash);
  void merge(const Hll& other);
  bool empty() const;
  /// Estimated number of distinct hashes, rounded; 0 exactly for an empty one.
  uint64_t estimate() const;
  /// Canonical bytes; none for an empty sketch.
  std::string serialize() const;
  /// Errc::corrupt for anything that serialize() can't have written.
  static Result<Hll> parse(std::string_view bytes);
  /// Merges serialized bytes into this one without a temporary sketch.
  /// After an error this one is as it was.
  Status merge_serialized(std::string_view bytes);
  /// What it holds: registers, or (null) entries.
  const Registers* dense() const { return dense_.get(); }
  std::span<const Entry> sparse() const { return sparse_; }
  /// Heap bytes held, for memory accounting.
  size_t memory_bytes() const;
  friend bool operator==(const Hll& a, const Hll& b) { return a.equals(b); }

 private:
  bool equals(const Hll& other) const;
  void merge_sparse(std::span<const Entry> entries);
  void merge_dense(const Registers& registers);
  void turn_dense();

  // One of the two: entries (sparse.h), or registers (dense.h) and no entries.
  std::vector<Entry> sparse_;
  std::unique_ptr<Registers> dense_;
};

/// Which of the two forms serialized bytes, which are not empty, have.
Result<bool> is_dense(std::string_view bytes);

}  // namespace clickmill::sketch
