#pragma once

#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"
#include "catalog/lookup.h"

namespace clickmill::collector {

/// Finds the ads of clicks that were redirected to the default because the
/// configuration service didn't answer in time (click::kAdPending). Asks it once
/// for all clicks of an ad, again and again; what it hasn't told `patience_ms`
/// after the click came here goes on as a click of an unknown ad.
/// Bounds: `clicks_most` come here in one such time, further ones go on at once;
/// `asked_most` ads are asked for at a time, so that people whose redirect waits
/// come first.
/// Thread: any. The mutex guards the clicks that wait, which the journal adds and
/// the service's answers take away; neither the lookup nor who waits is called under it.
class Enricher {
 public:
  struct Options {
    int64_t patience_ms = 60'000;
    int64_t retry_ms = 500;
    size_t asked_most = 64;
    size_t clicks_most = 20'000;
  };
  /// The click's ad; null: it goes on as a click of an unknown ad.
  using Done = std::function<void(const catalog::Ad*)>;
  /// `lookup` is borrowed.
  Enricher(catalog::Lookup& lookup, const Clock& clock, Options options, Metrics& metrics);

  /// Calls `done` once, at once or from tick() or the service's thread.
  void find(const std::string& ad_id, Done done);
  /// Asks what is due, gives up on what waited too long. Call a few times a second or more.
  void tick();

 private:
  struct Click {
    Done done;
    int64_t give_up_ns;
  };
  struct Ad {
    std::deque<Click> clicks;  ///< in the order they came
    bool asked = false;
  };
  void on_finding(const std::string& ad_id, const catalog::Finding& finding);

  catalog::Lookup& lookup_;
  const Clock& clock_;
  const Options options_;
  Counter& enriched_;
  Counter& given_up_;

  std::mutex mutex_;
  std::unordered_map<std::string, Ad> ads_;
  std::multimap<int64_t, std::string> asks_;              ///< by when they are due
  std::deque<std::pair<int64_t, std::string>> give_ups_;  ///< one per click that came, in order
  size_t asked_ = 0;
};

}  // namespace clickmill::collector
