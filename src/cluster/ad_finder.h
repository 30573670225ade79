#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "catalog/catalog.h"
#include "catalog/lookup.h"
#include "cluster/ads_desk.h"

namespace clickmill::cluster {

/// Finds ads that another node of the cluster was just told: asks once how far the ads are,
/// waits until this node has that much, and looks again. What can't be found out in time is
/// unavailable, not absent; so is all that is unknown while a start still reads its log.
/// Bound: callers waiting; one beyond them hears unavailable at once.
/// Thread: any. The mutex guards who waits; nothing is called under it.
class AdFinder final : public catalog::Lookup {
 public:
  struct Options {
    int64_t timeout_ms = 200;
    size_t callers_most = 4'096;
  };
  /// All but the options are borrowed.
  AdFinder(const catalog::Catalog& catalog, AdsDesk& desk, const Clock& clock, Options options)
      : catalog_(catalog), desk_(desk), clock_(clock), options_(options) {}

  std::optional<catalog::Finding> known(std::string_view ad_id) override;
  /// At the latest `timeout_ms` later by tick().
  void look_up(std::string_view ad_id, Done done) override;
  /// Ends what waits too long. Call every few milliseconds.
  void tick();

 private:
  struct Caller {
    std::string ad_id;
    int64_t deadline_ns;
    Done done;
  };
  void answer(uint64_t id, const Status& caught_up);

  const catalog::Catalog& catalog_;
  AdsDesk& desk_;
  const Clock& clock_;
  const Options options_;
  std::mutex mutex_;
  std::map<uint64_t, Caller> callers_;  ///< in the order they came, thus of their deadlines
  uint64_t next_id_ = 1;
};

}  // namespace clickmill::cluster
