#include "cluster/ad_finder.h"

#include <utility>

namespace clickmill::cluster {

using catalog::Finding;

std::optional<Finding> AdFinder::known(std::string_view ad_id) {
  auto ads = catalog_.snapshot();
  const catalog::Ad* const ad = ads->find(ad_id);
  if (ad == nullptr) return std::nullopt;
  // The pointer to the ad keeps the whole snapshot alive.
  return Finding{Finding::Kind::ad, std::shared_ptr<const catalog::Ad>(std::move(ads), ad)};
}

void AdFinder::look_up(std::string_view ad_id, Done done) {
  uint64_t id = 0;
  {
    const std::lock_guard lock(mutex_);
    if (callers_.size() < options_.callers_most) {
      id = next_id_++;
      const int64_t deadline_ns = clock_.monotonic_ns() + options_.timeout_ms * 1'000'000;
      callers_.emplace(id, Caller{std::string(ad_id), deadline_ns, std::move(done)});
    }
  }
  if (id == 0) return done({});
  desk_.catch_up(options_.timeout_ms,
                 [this, id](const Status& caught_up) { answer(id, caught_up); });
}

void AdFinder::answer(uint64_t id, const Status& caught_up) {
  Caller caller;
  {
    const std::lock_guard lock(mutex_);
    const auto at = callers_.find(id);
    if (at == callers_.end()) return;
    caller = std::move(at->second);
    callers_.erase(at);
  }
  auto finding = known(caller.ad_id);
  if (!finding) {
    finding.emplace();
    finding->kind = caught_up ? Finding::Kind::no_ad : Finding::Kind::unavailable;
  }
  caller.done(*std::move(finding));
}

void AdFinder::tick() {
  const int64_t now = clock_.monotonic_ns();
  for (;;) {
    uint64_t late = 0;
    {
      const std::lock_guard lock(mutex_);
      if (callers_.empty() || callers_.begin()->second.deadline_ns > now) return;
      late = callers_.begin()->first;
    }
    answer(late, Error(Errc::busy, "nobody said in time how far the ads are"));
  }
}

}  // namespace clickmill::cluster
