#include "api/context.h"

namespace clickmill::api {
namespace {

http::Response readiness(const std::vector<std::string>& reasons) {
  std::string body = reasons.empty() ? "{\"ready\":true,\"reasons\":[" : "{\"ready\":false,\"reasons\":[";
  for (size_t i = 0; i < reasons.size(); ++i) {
    if (i != 0) body += ',';
    body += http::json_quoted(reasons[i]);
  }
  body += "]}";
  return http::json_response(std::move(body), reasons.empty() ? 200 : 503);
}

}  // namespace

void add_operation_routes(http::Router& router, Context& context) {
  router.add(http::Method::get, "/readyz",
             [&context](http::RequestPtr, http::Router::Params, http::Responder respond) {
    respond(readiness(context.not_ready()));
  });
  router.add(http::Method::get, "/metrics",
             [&context](http::RequestPtr, http::Router::Params, http::Responder respond) {
    http::Response response;
    response.content_type = "text/plain; version=0.0.4; charset=utf-8";
    response.body = context.metrics.render();
    respond(std::move(response));
  });
}

}  // namespace clickmill::api
