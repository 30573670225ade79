#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace clickmill::bench {

/// Latencies in log-linear buckets (as in HdrHistogram): 128 to each power of
/// two, so that a percentile is off by less than 1 %. Cost: an add is a few
/// instructions and no allocation.
class Histogram {
 public:
  Histogram();
  void add(uint64_t value);
  uint64_t count() const { return count_; }
  uint64_t max() const { return max_; }
  /// Smallest value that at least `share` (0 … 1) of the values do not exceed,
  /// as the upper end of its bucket; 0 when empty.
  uint64_t percentile(double share) const;

 private:
  std::vector<uint64_t> buckets_;
  uint64_t count_ = 0;
  uint64_t max_ = 0;
};

}  // namespace clickmill::bench
