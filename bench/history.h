#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace clickmill::bench {

struct HistoryOptions {
  std::string directory;      ///< exists; gets ads.ndjson and clicks-<number>.ndjson
  uint64_t rows = 3'000'000;  ///< distinct (ad, minute) pairs, about
  uint32_t ads = 1000;        ///< of one advertiser to each 20
  uint32_t clicks = 2;        ///< a row, on average; few rows have many
  uint64_t until_s = 0;       ///< the last minute before it ends the year
  uint64_t seed = 1;
};

/// Writes a year of clicks as bodies for POST /v1/clicks?mode=backfill, in the order of time:
/// half of the rows in the last 7 days, a quarter in the 23 before them, the rest before that.
/// Ads by Zipf; every ad has visitors of its own, who keep their device and country.
Status write_history(const HistoryOptions& options);

}  // namespace clickmill::bench
