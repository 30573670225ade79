#include <algorithm>

#include "api/context.h"
#include "base/query_params.h"
#include "query/aggregate.h"
#include "query/kept.h"

namespace clickmill::api {
namespace {

bool may_see(const http::Principal& who, std::string_view advertiser_id) {
  return who.role != http::Role::advertiser || who.advertiser_id == advertiser_id;
}

/// An advertiser's key reads the rows that its advertiser paid for, whoever has the ad now.
/// False for another's: to this key it doesn't exist.
template <typename Request>
bool limit_to_own(const http::Principal& who, Request& request) {
  if (request.advertiser_id.empty() && who.role == http::Role::advertiser)
    request.advertiser_id = who.advertiser_id;
  return may_see(who, request.advertiser_id);
}

http::Response no_such(const query::ClicksRequest& request) {
  if (!request.ad_id.empty()) return http::problem(404, "no such ad: " + request.ad_id, "ad_id");
  return http::problem(404, "no such advertiser: " + request.advertiser_id, "advertiser_id");
}

bool advertiser_has_ads(const catalog::Catalog::Snapshot& ads, std::string_view advertiser_id) {
  return !ads.list(advertiser_id, "", 1).empty();
}

using Versions = std::vector<store::Version>;

/// Fits the request to what is kept and reads what it needs: in that order, and again should
/// more have been deleted in between.
template <typename Request>
std::variant<Versions, http::Response> read_kept(Context& context,
                                                 const std::vector<PartitionId>& ids,
                                                 const cluster::Position& at_least,
                                                 Request& request) {
  while (true) {
    const auto deleted = context.deleted_before();
    if (const auto error = query::fit_to_kept(request, deleted))
      return http::problem(400, error->detail, error->field);
    auto versions = context.reader.read(ids, query::head_scan(request), at_least);
    if (!versions) return problem_of(versions.error());
    if (context.deleted_before() == deleted) return *std::move(versions);
  }
}

constexpr const char* kPosition = "Clickmill-Position";

/// What the nodes of a cluster say besides: how far they have read, and whether they may be
/// behind.
template <typename Answer>
void mark(const Context& context, const Versions& versions, Answer& answer) {
  if (context.peers == nullptr) return;
  answer.stale = std::any_of(versions.begin(), versions.end(),
                             [](const auto& version) { return version.stale; });
}
void add_position(const Context& context, const std::vector<PartitionId>& ids,
                  const Versions& versions, http::Response& response) {
  if (context.peers == nullptr) return;
  response.headers.emplace_back(kPosition, cluster::position_text(ids, versions));
}

http::Response answer_clicks(Context& context, const http::Principal& who,
                             const cluster::Position& at_least, query::ClicksRequest request) {
  if (!limit_to_own(who, request)) return no_such(request);
  const auto ads = context.catalog.snapshot();
  const catalog::Ad* ad = request.ad_id.empty() ? nullptr : ads->find(request.ad_id);
  // Another's ad now; what this advertiser has of it are its own rows of before.
  if (ad != nullptr && !may_see(who, ad->advertiser_id)) ad = nullptr;
  std::vector<PartitionId> ids;
  if (request.ad_id.empty()) {
    ids = context.reader.all();
  } else {
    ids.push_back(click::partition_of(request.ad_id, context.partitions));
  }
  auto read = read_kept(context, ids, at_least, request);
  if (auto* refused = std::get_if<http::Response>(&read)) return std::move(*refused);
  const Versions& versions = std::get<Versions>(read);
  auto answer = query::aggregate_clicks(request, versions);
  if (!answer) return problem_of(context.reader.report(std::move(answer).error()));
  const bool known =
      request.every_advertiser ||
      (request.ad_id.empty() ? advertiser_has_ads(*ads, request.advertiser_id) : ad != nullptr);
  if (!known && !answer->any_rows) return no_such(request);
  if (ad != nullptr) answer->advertiser_id = ad->advertiser_id;
  mark(context, versions, *answer);
  auto response = http::json_response(query::render_clicks(request, *answer));
  add_position(context, ids, versions, response);
  if (request.format == query::Format::csv) response.content_type = "text/csv; charset=utf-8";
  return response;
}

http::Response answer_top(Context& context, const http::Principal& who,
                          const cluster::Position& at_least, query::TopRequest request) {
  if (!limit_to_own(who, request)) {
    return http::problem(404, "no such advertiser: " + request.advertiser_id, "advertiser_id");
  }
  const auto ids = context.reader.all();
  auto read = read_kept(context, ids, at_least, request);
  if (auto* refused = std::get_if<http::Response>(&read)) return std::move(*refused);
  const Versions& versions = std::get<Versions>(read);
  auto answer = query::aggregate_top(request, versions);
  if (!answer) return problem_of(context.reader.report(std::move(answer).error()));
  mark(context, versions, *answer);
  auto response = http::json_response(query::render_top(request, *answer));
  add_position(context, ids, versions, response);
  return response;
}

/// Parsing reads zone files and walks the buckets: like the answer it is no work for an
/// io thread, whose other connections are users that wait for their redirect.
template <typename Parse, typename Work>
void run_query(Context& context, http::RequestPtr request, http::Responder respond, Parse parse,
               Work work) {
  run_task(context.pools.queries, std::move(respond),
           [&context, request = std::move(request), parse, work]() -> http::Response {
             const auto parsed = parse(parse_query(request->query));
             if (const auto* error = std::get_if<ParamError>(&parsed)) return problem_of(*error);
             const auto at_least =
                 cluster::parse_position(request->header(kPosition), context.partitions);
             if (!at_least) return http::problem(400, "it is none that an answer gave", kPosition);
             return work(std::get<0>(parsed), *at_least);
           });
}

}  // namespace

void add_metrics_routes(http::Router& router, Context& context) {
  static constexpr std::initializer_list<http::Role> kReaders = {http::Role::advertiser,
                                                                 http::Role::admin};
  router.add(http::Method::get, "/v1/metrics/clicks",
             [&context](http::RequestPtr request, http::Router::Params, http::Responder respond) {
               const auto who = admit(context, *request, kReaders, "advertiser", respond);
               if (!who) return;
               run_query(
                   context, std::move(request), std::move(respond),
                   [&context](const QueryParams& params) {
                     return query::parse_clicks(params, context.max_points);
                   },
                   [&context, who = *who](const query::ClicksRequest& parsed,
                                          const cluster::Position& at_least) {
                     return answer_clicks(context, who, at_least, parsed);
                   });
             });
  router.add(http::Method::get, "/v1/metrics/top",
             [&context](http::RequestPtr request, http::Router::Params, http::Responder respond) {
               const auto who = admit(context, *request, kReaders, "advertiser", respond);
               if (!who) return;
               run_query(
                   context, std::move(request), std::move(respond),
                   [&context](const QueryParams& params) {
                     return query::parse_top(params, context.clock.wall_ms());
                   },
                   [&context, who = *who](const query::TopRequest& parsed,
                                          const cluster::Position& at_least) {
                     return answer_top(context, who, at_least, parsed);
                   });
             });
}

}  // namespace clickmill::api
