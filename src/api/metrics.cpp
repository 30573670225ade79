#include <fmt/format.h>

#include <algorithm>

#include "api/context.h"
#include "base/checksum.h"
#include "base/query_params.h"
#include "query/aggregate.h"
#include "query/counts.h"

namespace clickmill::api {
namespace {

http::Response refused(const query::Refusal& refusal) {
  if (refusal.error) return problem_of(*refusal.error);
  return http::problem(refusal.not_found ? 404 : 400, refusal.wrong.detail, refusal.wrong.field);
}

query::Sources sources_of(const Context& context, const cluster::Position& at_least) {
  return {context.catalog, context.reader,           context.partitions, context.retention,
          at_least,        context.peers != nullptr, context.scattered};
}

query::Viewer viewer_of(const http::Principal& who) {
  if (who.role != http::Role::advertiser) return std::nullopt;
  return who.advertiser_id;
}

constexpr const char* kPosition = "Clickmill-Position";

/// How far the answer has read, for who goes on to another node.
http::Response with_position(const Context& context, std::string&& position,
                             http::Response response) {
  if (context.cluster_id)
    response.headers.emplace_back(kPosition, cluster::position_in(context.cluster_id(), position));
  return response;
}

/// No waiting helps, and an answer would silently take back what the client has seen.
http::Response lost_position() {
  return http::problem(409,
                       "it was given by another cluster, or before this one was restored from a "
                       "backup; ask again without it",
                       kPosition);
}

http::Response answer_clicks(const Context& context, const http::Principal& who,
                             const cluster::Position& at_least, query::ClicksRequest request) {
  auto counted = query::count_clicks(sources_of(context, at_least), viewer_of(who), request);
  if (const auto* refusal = std::get_if<query::Refusal>(&counted)) return refused(*refusal);
  auto& answer = std::get<query::ClicksAnswer>(counted);
  auto response = with_position(context, std::move(answer.position),
                                http::json_response(query::render_clicks(request, answer)));
  if (request.format == query::Format::csv) response.content_type = "text/csv; charset=utf-8";
  return response;
}

http::Response answer_top(const Context& context, const http::Principal& who,
                          const cluster::Position& at_least, query::TopRequest request) {
  auto counted = query::count_top(sources_of(context, at_least), viewer_of(who), request);
  if (const auto* refusal = std::get_if<query::Refusal>(&counted)) return refused(*refusal);
  auto& answer = std::get<query::TopAnswer>(counted);
  return with_position(context, std::move(answer.position),
                       http::json_response(query::render_top(request, answer)));
}

/// What of the answer says something: all of it but `as_of`, which goes on by itself.
std::string tag_of(std::string_view body) {
  constexpr std::string_view kAsOf = "\"as_of\":\"";
  const size_t at = body.rfind(kAsOf);
  const size_t rest = at == std::string_view::npos ? at : body.find('"', at + kAsOf.size());
  const uint64_t before = xxh64_of(body.substr(0, at));
  return fmt::format("W/\"{:016x}\"",
                     rest == std::string_view::npos ? before : xxh64_of(body.substr(rest), before));
}

/// Who asks again for what hasn't changed is told just that. It may be kept, by nobody else,
/// and must be asked for again each time.
http::Response with_tag(const http::Request& request, http::Response response) {
  if (response.status != 200) return response;
  const std::string tag = tag_of(response.body);
  response.headers.emplace_back("ETag", tag);
  response.headers.emplace_back("Cache-Control", "private, no-cache");
  for (const std::string_view known : http::header_items(request, "If-None-Match")) {
    if (known != "*" && known != tag && known != tag.substr(2)) continue;
    response.status = 304;
    response.body.clear();
    response.content_type.clear();
    break;
  }
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
             std::string_view position = request->header(kPosition);
             const uint64_t given_by = cluster::take_cluster_id(position);
             const uint64_t own = context.cluster_id ? context.cluster_id() : 0;
             const auto at_least = cluster::parse_position(position, context.partitions);
             if (at_least && given_by != 0 && given_by != own) return lost_position();
             if (!at_least) return http::problem(400, "it is none that an answer gave", kPosition);
             return with_tag(*request, work(std::get<0>(parsed), *at_least));
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
