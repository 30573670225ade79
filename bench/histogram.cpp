#include "histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace clickmill::bench {
namespace {

constexpr int kBits = 7;
constexpr uint64_t kPerPower = uint64_t{1} << kBits;
// Values below 128 stand alone; above, each of the other 57 powers of two has 128 buckets.
constexpr size_t kBuckets = (64 - kBits + 1) * kPerPower;

int shift_of(uint64_t value) {
  return value < kPerPower ? 0 : static_cast<int>(std::bit_width(value)) - kBits - 1;
}

size_t bucket_of(uint64_t value) {
  int shift = shift_of(value);
  if (value < kPerPower) return value;
  return static_cast<size_t>(shift + 1) * kPerPower + ((value >> shift) - kPerPower);
}

uint64_t upper_end(size_t bucket) {
  if (bucket < kPerPower) return bucket;
  size_t shift = bucket / kPerPower - 1;
  return ((bucket % kPerPower + kPerPower + 1) << shift) - 1;
}

}  // namespace

Histogram::Histogram() : buckets_(kBuckets) {}

void Histogram::add(uint64_t value) {
  ++buckets_[bucket_of(value)];
  ++count_;
  max_ = std::max(max_, value);
}

uint64_t Histogram::percentile(double share) const {
  auto wanted = static_cast<uint64_t>(std::ceil(share * static_cast<double>(count_)));
  uint64_t seen = 0;
  for (size_t bucket = 0; bucket < kBuckets; ++bucket) {
    seen += buckets_[bucket];
    if (seen > 0 && seen >= wanted) return std::min(upper_end(bucket), max_);
  }
  return max_;
}

}  // namespace clickmill::bench
