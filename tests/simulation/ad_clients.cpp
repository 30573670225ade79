#include "simulation/ad_clients.h"

#include <fmt/format.h>

#include <algorithm>

namespace clickmill::simulation {
namespace {

constexpr uint64_t kAds = 5;

}  // namespace

std::string AdClients::url_of(const catalog::Snapshot& ads, const std::string& ad_id) {
  const catalog::Ad* const ad = ads.find(ad_id);
  return ad == nullptr ? std::string() : ad->redirect_url;
}

void AdClients::change(SimNode& node) {
  const std::string ad_id = fmt::format("ad{}", random_.below(kAds));
  const bool removes = random_.one_in(5);
  const std::string url = removes ? "" : fmt::format("https://shop.example/{}", next_++);
  Changes& changes = changes_[ad_id];
  changes.push_back({url, clock_.wall_ms()});
  Change* const change = &changes.back();
  cluster::AdsProposal proposal;
  const auto kind = removes ? catalog::AdsChange::Kind::remove : catalog::AdsChange::Kind::upsert;
  proposal.changes.push_back({kind, {ad_id, "adv", "banner", url}, {}});
  const catalog::Catalog* const here = &node.own_ads();
  node.machine().ads_desk()->propose(
      std::move(proposal),
      [this, ad_id, change, here](const Result<cluster::AdsGroup::Outcome>& done) {
        if (done) told(ad_id, *change, *here->snapshot());
      });
}

void AdClients::told(const std::string& ad_id, Change& change, const catalog::Snapshot& here) {
  ++acknowledged_;
  change.end_ms = clock_.wall_ms();
  const Changes& all = changes_[ad_id];
  const bool alone = std::none_of(all.begin(), all.end(), [&](const Change& other) {
    return &other != &change && other.end_ms >= change.begin_ms;
  });
  const std::string url = url_of(here, ad_id);
  if (alone && url != change.url)
    problem_ = fmt::format("{} was told to be '{}' now, and is '{}'", ad_id, change.url, url);
}

std::optional<std::string> AdClients::check(const catalog::Snapshot& ads) const {
  for (const auto& [ad_id, all] : changes_) {
    const std::string url = url_of(ads, ad_id);
    const auto may_be_last = [&, &all = all](const Change& change) {
      return std::none_of(all.begin(), all.end(), [&](const Change& later) {
        return later.end_ms != kNever && later.begin_ms > change.end_ms;
      });
    };
    const bool any_told = std::any_of(all.begin(), all.end(),
                                      [](const Change& change) { return change.end_ms != kNever; });
    if (url.empty() && !any_told) continue;
    const bool fine = std::any_of(all.begin(), all.end(), [&](const Change& change) {
      return change.url == url && may_be_last(change);
    });
    if (!fine) return fmt::format("{} is '{}' in the end, which is not what was told", ad_id, url);
  }
  return std::nullopt;
}

}  // namespace clickmill::simulation
