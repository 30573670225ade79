#include "api/context.h"

#include <algorithm>

#include "base/logging.h"
#include "base/params.h"

namespace clickmill::api {

std::optional<http::Principal> admit(const Context& context, const http::Request& request,
                                     std::initializer_list<http::Role> allowed,
                                     std::string_view needed, http::Responder& respond) {
  auto principal = context.auth.authenticate(request);
  if (!principal) {
    respond(http::Authenticator::unauthorized());
    return std::nullopt;
  }
  const bool fits = allowed.size() == 0 ||
                    std::find(allowed.begin(), allowed.end(), principal->role) != allowed.end();
  if (!fits) {
    respond(http::Authenticator::forbidden(needed));
    return std::nullopt;
  }
  return principal;
}

/// The same roles as the routes' own: whoever may not upload is not to fill memory first.
std::optional<http::Response> refuse_large_body(const Context& context,
                                                const http::Request& request) {
  const auto who = context.auth.authenticate(request);
  if (!who) return http::Authenticator::unauthorized();
  const bool clicks = request.path == "/v1/clicks";
  if (who->role == http::Role::admin || (clicks && who->role == http::Role::ingest)) return {};
  return http::Authenticator::forbidden(clicks ? "ingest" : "admin");
}

std::optional<http::Response> refuse_parameters(const http::Request& request) {
  Params params(request.query);
  params.expect_only({});
  if (!params.failure()) return std::nullopt;
  return problem_of(*params.failure());
}

void run_task(TaskPool& pool, http::Responder respond, std::function<http::Response()> work) {
  // std::function wants copyable captures, a Responder is none.
  auto shared = std::make_shared<http::Responder>(std::move(respond));
  const bool taken = pool.submit([shared, work = std::move(work)] { (*shared)(work()); });
  if (!taken) (*shared)(problem_of(Error(Errc::busy, "too many requests wait; try again")));
}

http::Response problem_of(const ParamError& error) {
  return http::problem(400, error.detail, error.field);
}

http::Response problem_of(const Error& error) {
  switch (error.code()) {
    case Errc::busy:
    case Errc::closed:
    case Errc::no_space:
    case Errc::not_leader: {
      auto response = http::problem(503, error.message());
      response.headers.emplace_back("Retry-After", "1");
      return response;
    }
    case Errc::invalid: return http::problem(400, error.message());
    case Errc::not_found: return http::problem(404, error.message());
    case Errc::corrupt:
    case Errc::io: break;
  }
  // Nobody who asks can do anything about it: it is the operator's.
  log_error("api", error.text());
  return http::problem(500, error.message());
}

namespace {

void add_click_routes(http::Router& router, Context& context) {
  const auto click = [&context](http::RequestPtr request, http::Router::Params,
                                http::Responder respond) {
    context.clicks.handle(std::move(request), std::move(respond));
  };
  for (const auto method :
       {http::Method::get, http::Method::post, http::Method::head, http::Method::options}) {
    router.add(method, "/v1/click", click);
  }
  add_snippet_route(router);
  router.add(http::Method::get, "/healthz",
             [](http::RequestPtr, http::Router::Params, http::Responder respond) {
               respond(http::json_response("{\"status\":\"ok\"}"));
             });
}

}  // namespace

void add_collector_routes(http::Router& router, Context& context) {
  add_click_routes(router, context);
  // Why it isn't ready is the operator's business, not the public's.
  router.add(http::Method::get, "/readyz",
             [&context](http::RequestPtr, http::Router::Params, http::Responder respond) {
               const bool ready = context.not_ready().empty();
               respond(http::json_response(ready ? "{\"ready\":true}" : "{\"ready\":false}",
                                           ready ? 200 : 503));
             });
  // Balancers' checks ask for it: HAProxy's httpchk with OPTIONS.
  const auto alive = [](http::RequestPtr request, http::Router::Params, http::Responder respond) {
    http::Response response;
    response.status = request->method == http::Method::options ? 204 : 200;
    response.headers.emplace_back("Allow", "GET, HEAD, OPTIONS");
    respond(std::move(response));
  };
  router.add(http::Method::get, "/", alive);
  router.add(http::Method::options, "/", alive);
}

void add_api_routes(http::Router& router, Context& context) {
  add_click_routes(router, context);
  add_bulk_route(router, context);
  add_metrics_routes(router, context);
  add_ad_routes(router, context);
  add_review_routes(router, context);
  add_operation_routes(router, context);
  add_recount_routes(router, context);
  add_raw_log_routes(router, context);
  add_cluster_route(router, context);
  add_node_routes(router, context);
  add_page_routes(router, context);
  add_openapi_route(router);
}

}  // namespace clickmill::api
