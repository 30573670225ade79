#include "collector/enricher.h"

#include <utility>

namespace clickmill::collector {

Enricher::Enricher(catalog::Lookup& lookup, const Clock& clock, Options options, Metrics& metrics)
    : lookup_(lookup),
      clock_(clock),
      options_(options),
      enriched_(metrics.counter("clickmill_spool_enriched_total",
                                "Clicks whose ad was told while they stood in the spool.")),
      given_up_(metrics.counter(
          "clickmill_spool_ad_not_told_total",
          "Clicks sent as unknown_ad because the configuration service never told their ad.")) {}

void Enricher::find(const std::string& ad_id, Done done) {
  const int64_t now = clock_.monotonic_ns();
  const int64_t give_up = now + options_.patience_ms * 1'000'000;
  {
    std::lock_guard lock(mutex_);
    if (give_ups_.size() < options_.clicks_most) {
      const auto [at, is_new] = ads_.try_emplace(ad_id);
      at->second.clicks.push_back({std::move(done), give_up});
      give_ups_.emplace_back(give_up, ad_id);
      if (is_new) asks_.emplace(now, ad_id);
      return;
    }
  }
  given_up_.add();
  done(nullptr);
}

void Enricher::tick() {
  const int64_t now = clock_.monotonic_ns();
  std::vector<Click> late;
  std::vector<std::string> due;
  {
    std::lock_guard lock(mutex_);
    for (; !give_ups_.empty() && give_ups_.front().first <= now; give_ups_.pop_front()) {
      const auto at = ads_.find(give_ups_.front().second);
      if (at == ads_.end()) continue;
      auto& clicks = at->second.clicks;
      for (; !clicks.empty() && clicks.front().give_up_ns <= now; clicks.pop_front())
        late.push_back(std::move(clicks.front()));
      if (clicks.empty() && !at->second.asked) ads_.erase(at);
    }
    for (; !asks_.empty() && asks_.begin()->first <= now && asked_ < options_.asked_most;
         asks_.erase(asks_.begin())) {
      const auto at = ads_.find(asks_.begin()->second);
      if (at == ads_.end() || at->second.asked) continue;
      at->second.asked = true;
      ++asked_;
      due.push_back(at->first);
    }
  }
  given_up_.add(late.size());
  for (const Click& click : late) click.done(nullptr);
  for (const std::string& ad_id : due) {
    lookup_.look_up(ad_id,
                    [this, ad_id](const catalog::Finding& finding) { on_finding(ad_id, finding); });
  }
}

void Enricher::on_finding(const std::string& ad_id, const catalog::Finding& finding) {
  std::deque<Click> clicks;
  {
    std::lock_guard lock(mutex_);
    --asked_;
    const auto at = ads_.find(ad_id);
    at->second.asked = false;
    // Where nobody waits any more, the answer doesn't matter: the ad is forgotten below.
    if (finding.kind == catalog::Finding::Kind::unavailable && !at->second.clicks.empty()) {
      asks_.emplace(clock_.monotonic_ns() + options_.retry_ms * 1'000'000, ad_id);
      return;
    }
    clicks = std::move(at->second.clicks);
    ads_.erase(at);
  }
  if (finding.ad != nullptr) enriched_.add(clicks.size());
  for (const Click& click : clicks) click.done(finding.ad.get());
}

}  // namespace clickmill::collector
