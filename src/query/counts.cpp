#include "query/counts.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "query/aggregate.h"
#include "query/kept.h"

namespace clickmill::query {
namespace {

bool may_see(const Viewer& viewer, std::string_view advertiser_id) {
  return !viewer || *viewer == advertiser_id;
}

/// False for another's: to who asks it doesn't exist.
template <typename Request>
bool limit_to_own(const Viewer& viewer, Request& request) {
  if (request.advertiser_id.empty() && viewer) request.advertiser_id = *viewer;
  return may_see(viewer, request.advertiser_id);
}

Refusal failed(Error error) { return {std::move(error), {}, false}; }

Refusal no_such_advertiser(const std::string& advertiser_id) {
  return {std::nullopt, {"advertiser_id", "no such advertiser: " + advertiser_id}, true};
}

Refusal no_such(const ClicksRequest& request) {
  if (request.ad_id.empty()) return no_such_advertiser(request.advertiser_id);
  return {std::nullopt, {"ad_id", "no such ad: " + request.ad_id}, true};
}

bool advertiser_has_ads(const catalog::Catalog::Snapshot& ads, std::string_view advertiser_id) {
  return !ads.list(advertiser_id, "", 1).empty();
}

store::TableTimes deleted_before(const Sources& sources) {
  auto times = sources.retention != nullptr ? sources.retention->deleted_before() : store::kAllTime;
  if (sources.elsewhere == nullptr) return times;
  const auto there = sources.elsewhere->deleted_before();
  for (size_t i = 0; i < times.size(); ++i) times[i] = std::max(times[i], there[i]);
  return times;
}

using Versions = std::vector<store::Version>;

template <typename Request>
Result<Versions> read_versions(const Sources& sources, const std::vector<PartitionId>& ids,
                               const Request& request) {
  const auto head = head_scan(request);
  if (sources.elsewhere == nullptr) return sources.reader.read(ids, head, sources.at_least);
  return sources.elsewhere->read(ids, head, TRY(rows_wanted(request)), sources.at_least);
}

/// Fits the request to what is kept and reads what it needs: in that order, and again should
/// more have been deleted in between.
template <typename Request>
std::variant<Versions, Refusal> read_kept(const Sources& sources,
                                          const std::vector<PartitionId>& ids, Request& request) {
  while (true) {
    const auto deleted = deleted_before(sources);
    if (auto error = fit_to_kept(request, deleted))
      return Refusal{std::nullopt, *std::move(error), false};
    auto versions = read_versions(sources, ids, request);
    if (!versions) return failed(std::move(versions).error());
    if (deleted_before(sources) == deleted) return *std::move(versions);
  }
}

/// How far it has read, and whether that may be behind other nodes.
template <typename Answer>
Answer marked(const Sources& sources, const std::vector<PartitionId>& ids, const Versions& versions,
              Answer answer) {
  answer.position = cluster::position_text(ids, versions);
  answer.stale =
      sources.has_peers && std::any_of(versions.begin(), versions.end(),
                                       [](const store::Version& version) { return version.stale; });
  return answer;
}

}  // namespace

std::variant<ClicksAnswer, Refusal> count_clicks(const Sources& sources, const Viewer& viewer,
                                                 ClicksRequest& request) {
  if (!limit_to_own(viewer, request)) return no_such(request);
  const auto ads = sources.catalog.snapshot();
  const catalog::Ad* ad = request.ad_id.empty() ? nullptr : ads->find(request.ad_id);
  // Another's ad now; what this advertiser has of it are its own rows of before.
  if (ad != nullptr && !may_see(viewer, ad->advertiser_id)) ad = nullptr;
  std::vector<PartitionId> ids;
  if (request.ad_id.empty()) {
    ids = sources.reader.all();
  } else {
    ids.push_back(click::partition_of(request.ad_id, sources.partitions));
  }
  auto read = read_kept(sources, ids, request);
  if (auto* refused = std::get_if<Refusal>(&read)) return std::move(*refused);
  const Versions& versions = std::get<Versions>(read);
  auto answer = aggregate_clicks(request, versions);
  if (!answer) return failed(sources.reader.report(std::move(answer).error()));
  const bool known =
      request.every_advertiser ||
      (request.ad_id.empty() ? advertiser_has_ads(*ads, request.advertiser_id) : ad != nullptr);
  if (!known && !answer->any_rows) return no_such(request);
  if (ad != nullptr) answer->advertiser_id = ad->advertiser_id;
  return marked(sources, ids, versions, *std::move(answer));
}

std::variant<TopAnswer, Refusal> count_top(const Sources& sources, const Viewer& viewer,
                                           TopRequest& request) {
  if (!limit_to_own(viewer, request)) return no_such_advertiser(request.advertiser_id);
  const auto ids = sources.reader.all();
  auto read = read_kept(sources, ids, request);
  if (auto* refused = std::get_if<Refusal>(&read)) return std::move(*refused);
  const Versions& versions = std::get<Versions>(read);
  auto answer = aggregate_top(request, versions);
  if (!answer) return failed(sources.reader.report(std::move(answer).error()));
  return marked(sources, ids, versions, *std::move(answer));
}

}  // namespace clickmill::query
