#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace clickmill::bench {

struct LinesOptions {
  std::string directory;  ///< empty
  uint64_t clicks = 1'000'000;
  uint32_t ads = 1'000;
  uint32_t days = 7;
};

/// Writes clicks of the last days, in no order of time, as NDJSON: clicks-NNNN.ndjson of at
/// most 15 MiB each, bodies for POST /v1/clicks?mode=backfill, and ads.ndjson for POST /v1/ads.
Status write_lines(const LinesOptions& options);

}  // namespace clickmill::bench
