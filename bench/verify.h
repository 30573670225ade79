#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "api_client.h"
#include "base/result.h"
#include "click_source.h"
#include "ledger.h"

namespace clickmill::bench {

/// Uploads the ads of a run.
Status upload_ads(ApiClient& api, const ClickSource& source, uint32_t ads);

/// How the node's counts compare with our own record.
struct Verdict {
  uint64_t ads = 0;       ///< that clicks were sent to
  uint64_t answered = 0;  ///< distinct clicks that were answered with a redirect
  uint64_t counted = 0;   ///< what the node says, over these ads
  uint64_t open = 0;      ///< sent but never answered: may be counted or not
  double settled_s = 0;   ///< from the question's begin until the sum stood where it should
  std::vector<std::string> differences;  ///< one line each, for a person; the first 20
  uint64_t ads_that_differ = 0;
};

/// Waits until the run's advertiser has as many clicks as were answered (at
/// most 60 seconds), then asks for every ad's total between the two instants.
/// An ad is right when its count is at least its answered clicks and at most
/// these and the open ones.
Result<Verdict> verify(ApiClient& api, const ClickSource& source, const Ledger& ledger,
                       uint32_t ads, int64_t from_ms, int64_t to_ms);

}  // namespace clickmill::bench
