#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "catalog/ad.h"

namespace clickmill::catalog {

/// The ads as they were at one instant. Immutable; shared. Thread: any.
class Snapshot {
 public:
  virtual ~Snapshot() = default;
  /// In O(1). Null when unknown. Lives as long as the snapshot.
  virtual const Ad* find(std::string_view ad_id) const = 0;
  virtual size_t size() const = 0;
  /// Ads in order of ad_id after `after`, at most `limit`, of one advertiser
  /// unless `advertiser_id` is empty.
  virtual std::vector<Ad> list(std::string_view advertiser_id, std::string_view after,
                               size_t limit) const = 0;
};

}  // namespace clickmill::catalog
