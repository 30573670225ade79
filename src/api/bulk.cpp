#include <array>

#include "api/context.h"

namespace clickmill::api {
namespace {

constexpr std::array<std::pair<std::string_view, bool>, 1> kModes{{{"backfill", true}}};

}  // namespace

void add_bulk_route(http::Router& router, Context& context) {
  router.add(http::Method::post, "/v1/clicks",
             [&context](http::RequestPtr request, http::Router::Params, http::Responder respond) {
               const auto who = admit(context, *request, {http::Role::ingest, http::Role::admin},
                                      "ingest", respond);
               if (!who) return;
               Params params(request->query);
               params.expect_only({"mode"});
               const bool backfill = params.word("mode", false, kModes);
               if (params.failure()) return respond(problem_of(*params.failure()));
               // What is backfilled is on time however long ago that was: it changes days that
               // may have been billed.
               if (backfill && who->role != http::Role::admin) {
                 return respond(http::Authenticator::forbidden("admin"));
               }
               // A body takes tens of milliseconds: on an io thread, redirects would wait.
               auto shared = std::make_shared<http::Responder>(std::move(respond));
               const bool taken = context.pools.bulk.submit([&context, request, shared, backfill] {
                 context.bulk.handle(request, backfill, std::move(*shared));
               });
               if (!taken)
                 (*shared)(problem_of(Error(Errc::busy, "too many requests wait; try again")));
             });
}

}  // namespace clickmill::api
