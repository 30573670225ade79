#include "api/context.h"

namespace clickmill::api {
namespace {

std::string json_list(const std::vector<std::string>& texts) {
  std::string out = "[";
  for (const auto& text : texts) {
    if (out.size() > 1) out += ',';
    out += http::json_quoted(text);
  }
  return out + "]";
}

http::Response readiness(const std::vector<std::string>& reasons,
                         const std::vector<std::string>& warnings) {
  const std::string ready = reasons.empty() ? "true" : "false";
  return http::json_response("{\"ready\":" + ready + ",\"reasons\":" + json_list(reasons) +
                                 ",\"warnings\":" + json_list(warnings) + "}",
                             reasons.empty() ? 200 : 503);
}

}  // namespace

void add_operation_routes(http::Router& router, Context& context) {
  router.add(http::Method::get, "/readyz",
             [&context](http::RequestPtr, http::Router::Params, http::Responder respond) {
               respond(readiness(context.not_ready(), context.warnings()));
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
