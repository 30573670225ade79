#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/random.h"
#include "dedup/dedup.h"

namespace clickmill::bench {

/// Ids numbered in log order, at a steady rate over log time; batch b belongs to
/// partition b mod partitions. From number `copies_from` on, some are copies:
/// half of them of one of the last thousands of ids, half of any id of the last
/// 20 hours, always of an earlier batch of the same partition. Two sources with
/// the same options give the same ids.
class IdSource {
 public:
  struct Options {
    uint64_t ids_per_hour = 1;
    uint64_t batch = 512;
    uint32_t partitions = 1;
    uint64_t copies_from = 0;
    uint32_t copies_per_mille = 5;
  };
  explicit IdSource(const Options& options) : options_(options) {}

  uint64_t next() const { return next_; }
  uint32_t partition() const {
    return static_cast<uint32_t>(next_ / options_.batch % options_.partitions);
  }
  int64_t now_ms() const {
    const auto hours = static_cast<double>(next_) / static_cast<double>(options_.ids_per_hour);
    return kStartHour * kHourMs + static_cast<int64_t>(hours * static_cast<double>(kHourMs));
  }
  /// Makes the next batch, and which of it are copies.
  void fill() {
    ids.clear();
    copies.clear();
    const ArrivalMs received(now_ms() - 100);
    const uint64_t first = next_;
    for (; next_ < first + options_.batch; ++next_) {
      const bool copy = is_copy(next_);
      ids.push_back({id_of(copy ? original_of(first) : next_), received});
      copies.push_back(copy ? 1 : 0);
    }
  }
  std::vector<dedup::Identity> ids;
  std::vector<uint8_t> copies;

  static constexpr int64_t kStartHour = 500'000;

 private:
  /// As good as a hash, and can be made again for a copy.
  static Hash128 id_of(uint64_t n) {
    Random random(n * 2 + 1);
    return {random.next(), random.next()};
  }
  bool is_copy(uint64_t n) const {
    return n >= options_.copies_from && Random(n).below(1'000) < options_.copies_per_mille;
  }
  uint64_t original_of(uint64_t first) {
    const uint64_t stride = options_.batch * options_.partitions;
    const uint64_t window = std::min(first, options_.ids_per_hour * 20) / stride;
    // Too early for a copy of anything: an id that no batch has.
    if (window == 0) return ~next_;
    for (;;) {
      const uint64_t reach = random_.one_in(2) ? std::min(window, uint64_t{8}) : window;
      const uint64_t n =
          first - (1 + random_.below(reach)) * stride + random_.below(options_.batch);
      if (!is_copy(n)) return n;
    }
  }

  Options options_;
  Random random_{1};
  uint64_t next_ = 0;
};

}  // namespace clickmill::bench
