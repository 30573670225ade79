#include "api/context.h"
#include "base/text.h"
#include "query/zone_files.h"

namespace clickmill::api {
namespace {

std::string json_list(const std::vector<std::string>& texts) {
  std::string out = "[";
  for (const auto& text : texts) {
    if (out.size() > 1) out += ',';
    out += json_quoted(text);
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

std::string zone_metric() {
  return "# HELP clickmill_tzdata_info Version of the time zone rules in use.\n"
         "# TYPE clickmill_tzdata_info gauge\n"
         "clickmill_tzdata_info{version=\"" +
         query::ZoneFiles::system().version() + "\"} 1\n";
}

}  // namespace

/// Neither asks for a key: balancers and scrapers have none, and the api listener is not
/// the public one.
void add_operation_routes(http::Router& router, Context& context) {
  router.add(http::Method::get, "/readyz",
             [&context](http::RequestPtr, http::Router::Params, http::Responder respond) {
               auto warnings = context.warnings();
               if (auto zones = query::ZoneFiles::system().warning(); !zones.empty())
                 warnings.push_back(std::move(zones));
               respond(readiness(context.not_ready(), warnings));
             });
  router.add(http::Method::get, "/metrics",
             [&context](http::RequestPtr, http::Router::Params, http::Responder respond) {
               // RocksDB and all partitions are asked: no work for an io thread.
               run_task(context.pools.queries, std::move(respond), [&context] {
                 http::Response response;
                 response.content_type = "text/plain; version=0.0.4; charset=utf-8";
                 response.body = context.metrics.render() + zone_metric();
                 return response;
               });
             });
}

}  // namespace clickmill::api
