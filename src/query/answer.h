#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "click/click.h"

namespace clickmill::query {

/// One bucket (or the total) of an answer.
struct Bucket {
  int64_t start_ms = 0;
  uint64_t clicks = 0;
  uint64_t unique_users = 0;
  /// Clicks of machines that match all else, whether `clicks` takes them in or not.
  uint64_t automated = 0;
  bool complete = false;
  std::array<uint64_t, click::kDevices> devices{};
  std::map<click::Country, uint64_t> countries;
};
struct ClicksAnswer {
  std::string advertiser_id;  ///< from the rows when the catalog knows none
  bool any_rows = false;      ///< rows exist at all for the ad or advertiser, in range or not
  std::vector<Bucket> data;
  Bucket total;
  int64_t as_of_ms = 0;
  bool stale = false;    ///< see store::Version
  std::string position;  ///< see cluster::Position
};
struct TopAnswer {
  struct Item {
    std::string ad_id;
    std::string advertiser_id;
    uint64_t clicks = 0;
    uint64_t automated = 0;  ///< see Bucket; of an ad without `clicks` only in the total
  };
  std::vector<Item> data;
  uint64_t total_clicks = 0;
  uint64_t total_automated = 0;
  int64_t as_of_ms = 0;
  bool stale = false;
  std::string position;
};

}  // namespace clickmill::query
