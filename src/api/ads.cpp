#include <fmt/format.h>

#include "api/context.h"
#include "base/ndjson.h"
#include "base/params.h"
#include "base/text.h"
#include "http/content_encoding.h"

namespace clickmill::api {
namespace {

constexpr size_t kListMost = 1000;
constexpr size_t kListDefault = 100;

http::Response no_such_ad(std::string_view ad_id) {
  return http::problem(404, fmt::format("no such ad: {}", ad_id), "ad_id");
}

/// With a configuration service, the node's own catalog is a copy of what that has told.
std::optional<http::Response> kept_elsewhere(const Context& context,
                                             const char* allow = "GET, HEAD") {
  if (context.catalog_url.empty()) return std::nullopt;
  auto response = http::problem(405, fmt::format("ads are kept by the configuration service at {} "
                                                 "(catalog.source \"http\"); change them there",
                                                 context.catalog_url));
  response.headers.emplace_back("Allow", allow);
  return response;
}

http::Response put_ad(Context& context, const http::Request& request, const std::string& ad_id) {
  std::string decoded;
  std::string_view body;
  if (auto refused = http::decode_body(request, decoded, body)) return *std::move(refused);
  catalog::Ad ad;
  if (const auto error = catalog::parse_ad(body, ad_id, ad)) {
    return http::problem(400, error->detail, error->field);
  }
  const auto is_new = context.catalog.put(ad);
  if (!is_new) return problem_of(is_new.error());
  return http::json_response(catalog::ad_to_json(ad), *is_new ? 201 : 200);
}

http::Response get_ad(Context& context, const http::Principal& who, const std::string& ad_id) {
  const auto ads = context.catalog.snapshot();
  const catalog::Ad* ad = ads->find(ad_id);
  // To another's key it doesn't exist: a 403 would tell that it does.
  const bool hidden =
      ad != nullptr && who.role == http::Role::advertiser && who.advertiser_id != ad->advertiser_id;
  if (ad == nullptr || hidden) return no_such_ad(ad_id);
  return http::json_response(catalog::ad_to_json(*ad));
}

http::Response delete_ad(Context& context, const std::string& ad_id) {
  const auto removed = context.catalog.remove(ad_id);
  if (!removed) return problem_of(removed.error());
  if (!*removed) return no_such_ad(ad_id);
  http::Response response;
  response.status = 204;
  return response;
}

struct ListRequest {
  std::string advertiser_id;
  std::string after;
  uint64_t limit = kListDefault;
};

std::optional<ParamError> parse_list(const http::Request& request, ListRequest& out) {
  Params params(request.query);
  params.expect_only({"advertiser_id", "after", "limit"});
  if (const std::string* advertiser = params.find("advertiser_id")) out.advertiser_id = *advertiser;
  if (const std::string* after = params.find("after")) out.after = *after;
  out.limit = params.number("limit", out.limit, 1, kListMost);
  return params.failure();
}

http::Response list_ads(Context& context, const http::Principal& who,
                        const http::Request& request) {
  ListRequest list;
  if (const auto wrong = parse_list(request, list)) return problem_of(*wrong);
  if (who.role == http::Role::advertiser) {
    if (!list.advertiser_id.empty() && list.advertiser_id != who.advertiser_id) {
      return http::problem(404, "no such advertiser: " + list.advertiser_id, "advertiser_id");
    }
    list.advertiser_id = who.advertiser_id;
  }
  // One more than asked for shows whether there is a next page.
  const auto ads = context.catalog.snapshot()->list(list.advertiser_id, list.after, list.limit + 1);
  std::string body = "{\"data\":[";
  for (size_t i = 0; i < ads.size() && i < list.limit; ++i) {
    if (i != 0) body += ',';
    body += catalog::ad_to_json(ads[i]);
  }
  body += "],\"next\":";
  body += ads.size() > list.limit ? json_quoted(ads[list.limit - 1].ad_id) : "null";
  body += '}';
  return http::json_response(std::move(body));
}

/// Good lines are stored in one durable write, so that a sender whose connection breaks has
/// either all of them or none.
http::Response bulk_ads(Context& context, const http::Request& request) {
  std::vector<catalog::Ad> ads;
  std::string decoded;
  std::string_view body;
  if (auto refused = http::decode_body(request, decoded, body)) return *std::move(refused);
  LineReport report;
  for_each_line(body, [&](std::string_view line, size_t number) {
    catalog::Ad ad;
    if (auto error = catalog::parse_ad(line, "", ad)) {
      report.reject(number, std::move(error->field), std::move(error->detail));
    } else {
      ads.push_back(std::move(ad));
    }
    return true;
  });
  if (auto stored = context.catalog.put_all(ads); !stored) return problem_of(stored.error());
  report.accept(ads.size());
  return http::json_response(report.to_json());
}

}  // namespace

void add_ad_routes(http::Router& router, Context& context) {
  using http::Role;
  static constexpr std::initializer_list<Role> kReaders = {Role::advertiser, Role::admin};
  static constexpr std::initializer_list<Role> kWriters = {Role::admin};
  router.add(
      http::Method::put, "/v1/ads/{ad_id}",
      [&context](http::RequestPtr request, http::Router::Params params, http::Responder respond) {
        if (!admit(context, *request, kWriters, "admin", respond)) return;
        if (auto refused = kept_elsewhere(context)) return respond(*std::move(refused));
        run_task(context.pools.catalog, std::move(respond),
                 [&context, request, id = params[0]] { return put_ad(context, *request, id); });
      });
  router.add(
      http::Method::get, "/v1/ads/{ad_id}",
      [&context](http::RequestPtr request, http::Router::Params params, http::Responder respond) {
        const auto who = admit(context, *request, kReaders, "advertiser", respond);
        if (who) respond(get_ad(context, *who, params[0]));
      });
  router.add(
      http::Method::delete_, "/v1/ads/{ad_id}",
      [&context](http::RequestPtr request, http::Router::Params params, http::Responder respond) {
        if (!admit(context, *request, kWriters, "admin", respond)) return;
        if (auto refused = kept_elsewhere(context)) return respond(*std::move(refused));
        run_task(context.pools.catalog, std::move(respond),
                 [&context, id = params[0]] { return delete_ad(context, id); });
      });
  router.add(http::Method::get, "/v1/ads",
             [&context](http::RequestPtr request, http::Router::Params, http::Responder respond) {
               const auto who = admit(context, *request, kReaders, "advertiser", respond);
               if (!who) return;
               run_task(context.pools.queries, std::move(respond), [&context, request, who = *who] {
                 return list_ads(context, who, *request);
               });
             });
  router.add(http::Method::post, "/v1/ads",
             [&context](http::RequestPtr request, http::Router::Params, http::Responder respond) {
               if (!admit(context, *request, kWriters, "admin", respond)) return;
               if (auto refused = kept_elsewhere(context)) return respond(*std::move(refused));
               run_task(context.pools.catalog, std::move(respond),
                        [&context, request] { return bulk_ads(context, *request); });
             });
}

}  // namespace clickmill::api
