#include "api/context.h"
#include "base/query_params.h"

namespace clickmill::api {
namespace {

/// The mode parameter: empty optional with an answer given for anything wrong.
std::optional<bool> backfill_of(const http::Request& request, http::Responder& respond) {
  bool backfill = false;
  for (const auto& [name, value] : parse_query(request.query).items) {
    if (name != "mode") {
      respond(http::problem(400, "unknown parameter", name));
      return std::nullopt;
    }
    if (value != "backfill") {
      respond(http::problem(400, "mode can only be backfill", "mode"));
      return std::nullopt;
    }
    backfill = true;
  }
  return backfill;
}

}  // namespace

void add_bulk_route(http::Router& router, Context& context) {
  router.add(http::Method::post, "/v1/clicks",
             [&context](http::RequestPtr request, http::Router::Params, http::Responder respond) {
               const auto who = admit(context, *request, {http::Role::ingest, http::Role::admin},
                                      "ingest", respond);
               if (!who) return;
               const auto backfill = backfill_of(*request, respond);
               if (!backfill) return;
               if (*backfill && who->role != http::Role::admin) {
                 return respond(http::Authenticator::forbidden("admin"));
               }
               auto shared = std::make_shared<http::Responder>(std::move(respond));
               const bool taken =
                   context.pools.bulk.submit([&context, request, shared, backfill = *backfill] {
                     context.bulk.handle(request, backfill, std::move(*shared));
                   });
               if (!taken)
                 (*shared)(problem_of(Error(Errc::busy, "too many requests wait; try again")));
             });
}

}  // namespace clickmill::api
