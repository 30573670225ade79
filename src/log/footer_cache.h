#pragma once

#include <algorithm>
#include <list>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "log/segment.h"

namespace clickmill::log {

/// The block indexes of the closed segments that were read last. A full segment
/// of 256 MiB has about 1,200 blocks of 72 bytes, so that 64 partitions hold
/// 4 × 85 KiB each: 21 MiB at most, and far less unless all are read from.
/// Thread: any.
class FooterCache {
 public:
  using Blocks = std::shared_ptr<const std::vector<BlockInfo>>;
  Blocks find(Offset segment) {
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(kept_.begin(), kept_.end(),
                                    [&](const auto& kept) { return kept.first == segment; });
    if (found == kept_.end()) return nullptr;
    kept_.splice(kept_.begin(), kept_, found);
    return found->second;
  }
  void put(Offset segment, Blocks blocks) {
    const std::lock_guard lock(mutex_);
    kept_.emplace_front(segment, std::move(blocks));
    if (kept_.size() > kSegmentsMax) kept_.pop_back();
  }

 private:
  static constexpr size_t kSegmentsMax = 4;
  std::mutex mutex_;  ///< guards kept_, which every reader moves; taken alone
  std::list<std::pair<Offset, Blocks>> kept_;
};

}  // namespace clickmill::log
