#pragma once

#include <atomic>
#include <string>
#include <thread>

#include "api_client.h"
#include "base/result.h"
#include "click_source.h"
#include "histogram.h"
#include "options.h"

namespace clickmill::bench {

/// Measures, while a load runs, how long an answered click takes to show in a
/// query: clicks on an ad of its own, then asks for the ad's total until it
/// has risen, a few times a second. The time between two questions (about 1 ms)
/// is the resolution.
/// Thread: start and stop by the owner; the probe has one thread of its own.
class FreshnessProbe {
 public:
  /// `run` as in ClickSource: stands in the ad's id.
  FreshnessProbe(const Options& options, std::string run);
  ~FreshnessProbe();
  FreshnessProbe(const FreshnessProbe&) = delete;
  FreshnessProbe& operator=(const FreshnessProbe&) = delete;

  /// Uploads the ad and begins.
  Status start();
  struct Report {
    Histogram visible_ns;  ///< from the click's answer to the answer that shows it
    std::string failure;   ///< why it ended early, if it did
  };
  Report stop();

 private:
  void run();
  Status probe(uint64_t number);

  ApiClient collector_;
  ApiClient api_;
  const std::string ad_id_;
  int64_t begin_ms_ = 0;
  std::atomic<bool> stopping_{false};
  Report report_;
  std::thread thread_;
};

}  // namespace clickmill::bench
