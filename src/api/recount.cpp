#include <fmt/format.h>

#include "api/context.h"
#include "base/params.h"
#include "base/text.h"
#include "base/time_text.h"
#include "click/click.h"
#include "click/params.h"

namespace clickmill::api {
namespace {

using cluster::Recounter;
using cluster::RecountRequest;

constexpr uint64_t kListMost = 1000;

/// Widened to whole minutes: part of a stored minute can't be compared with anything.
std::optional<ParamError> parse(const http::Request& request, RecountRequest& out) {
  Params params(request.query);
  params.expect_only({"from", "to", "ad_id", "repair"});
  const TimeRange range = params.range();
  click::read_id(params, "ad_id", out.ad_id);
  out.repair = params.flag("repair", false);
  if (params.failure()) return params.failure();
  out.from_ms = floor_to(range.from_ms, kMinuteMs);
  out.to_ms = floor_to(range.to_ms + kMinuteMs - 1, kMinuteMs);
  return std::nullopt;
}

std::string to_json(const Recounter::Found& found) {
  // Cut as in every other answer: an estimate may be above what it counted.
  const auto side = [](const Recounter::Found::Side& of) {
    return fmt::format("{{\"click_count\":{},\"unique_users\":{}}}", of.clicks,
                       std::min(of.unique_users, of.clicks));
  };
  return fmt::format(
      "{{\"ad_id\":{},\"advertiser_id\":{},\"automated\":{},\"window_start\":\"{}\",\"stored\":{},"
      "\"recounted\":{},"
      "\"detail\":{},"
      "\"repaired\":{}}}",
      json_quoted(found.ad_id), json_quoted(found.advertiser_id), found.automated,
      format_time_ms(found.minute_ms), side(found.stored), side(found.recounted),
      json_quoted(found.text), found.repaired);
}

std::string to_json(const Recounter::Report& report, size_t after) {
  const RecountRequest& request = report.request;
  std::string data;
  for (const auto& found : report.found) {
    if (!data.empty()) data += ',';
    data += to_json(found);
  }
  std::string ids;
  for (const PartitionId id : report.partitions) {
    if (!ids.empty()) ids += ',';
    ids += std::to_string(id.value());
  }
  // Minutes before it may lack clicks, or ids, that the log no longer holds.
  const bool partly = report.judged_from_ms > request.from_ms;
  return fmt::format(
      "{{\"id\":{},\"state\":\"{}\",\"detail\":{},\"from\":\"{}\",\"to\":\"{}\",\"ad_id\":{},"
      "\"repair\":{},"
      "\"partitions\":{},\"partition_ids\":[{}],\"partitions_done\":{},\"entries_read\":{},"
      "\"clicks\":{},\"compared\":{},"
      "\"differ\":{},"
      "\"repaired\":{},\"judged_from\":{},\"data\":[{}],\"next\":{}}}",
      report.id, to_string(report.state),
      report.failure.empty() ? "null" : json_quoted(report.failure),
      format_time_ms(request.from_ms), format_time_ms(request.to_ms),
      request.ad_id.empty() ? "null" : json_quoted(request.ad_id), request.repair,
      report.partitions.size(), ids, report.partitions_done, report.entries, report.clicks,
      report.compared, report.differ, report.repaired,
      partly ? '"' + format_time_ms(report.judged_from_ms) + '"' : "null", data,
      report.found.empty() ? "null" : std::to_string(after + report.found.size()));
}

/// Whom to ask, as the end of a sentence.
std::string holders_of(const Context& context, const std::string& ad_id) {
  if (context.peers == nullptr) return {};
  const PartitionId partition = click::partition_of(ad_id, context.partitions);
  return fmt::format(": ask {}",
                     fmt::join(context.peers->placement().replicas(partition), ", or "));
}

void begin(Context& context, const http::Request& request, const std::string& who,
           http::Responder& respond) {
  RecountRequest wanted;
  if (const auto wrong = parse(request, wanted)) return respond(problem_of(*wrong));
  wanted.by = who;
  // Each deleted minute would differ, and a repair bring it back.
  if (const int64_t deleted_ms = context.deleted_before()[0]; wanted.from_ms < deleted_ms) {
    return respond(http::problem(
        400,
        fmt::format("the minutes before {} have been deleted (store.retention_days.minute) and "
                    "can't be compared; recount from then on",
                    format_time_ms(deleted_ms)),
        "from"));
  }
  const std::string ad_id = wanted.ad_id;
  const auto id = context.recounter.start(std::move(wanted));
  if (!id && id.error().code() == Errc::not_leader)
    return respond(http::problem(421, id.error().message() + holders_of(context, ad_id)));
  if (!id) return respond(http::problem(409, id.error().message()));
  auto response = http::json_response(fmt::format("{{\"id\":{}}}", *id), 202);
  response.headers.emplace_back("Location", fmt::format("/v1/recounts/{}", *id));
  respond(std::move(response));
}

http::Response describe(Context& context, const http::Request& request,
                        const std::string& id_text) {
  Params params(request.query);
  params.expect_only({"after", "limit"});
  const uint64_t after = params.number("after", 0, 0, INT64_MAX);
  const uint64_t limit = params.number("limit", 100, 1, kListMost);
  if (params.failure()) return problem_of(*params.failure());
  const auto id = parse_number(id_text);
  // No recount has the id 0, so that what is no number is answered as one that is not there.
  const auto report = context.recounter.report(id.value_or(0), after, limit);
  if (!report) return problem_of(report.error());
  return http::json_response(to_json(*report, after));
}

}  // namespace

void add_recount_routes(http::Router& router, Context& context) {
  router.add(
      http::Method::post, "/v1/recounts",
      [&context](http::RequestPtr request, http::Router::Params, http::Responder respond) {
        if (const auto who = admit(context, *request, {http::Role::admin}, "admin", respond)) {
          begin(context, *request, who->name, respond);
        }
      });
  router.add(
      http::Method::get, "/v1/recounts/{id}",
      [&context](http::RequestPtr request, http::Router::Params params, http::Responder respond) {
        if (!admit(context, *request, {http::Role::admin}, "admin", respond)) return;
        respond(describe(context, *request, params[0]));
      });
  router.add(
      http::Method::delete_, "/v1/recounts/{id}",
      [&context](http::RequestPtr request, http::Router::Params params, http::Responder respond) {
        if (!admit(context, *request, {http::Role::admin}, "admin", respond)) return;
        if (auto refused = refuse_parameters(*request)) return respond(*std::move(refused));
        const auto ended = context.recounter.cancel(parse_number(params[0]).value_or(0));
        if (!ended) return respond(problem_of(ended.error()));
        http::Response response;
        response.status = 204;
        respond(std::move(response));
      });
}

}  // namespace clickmill::api
