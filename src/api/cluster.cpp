#include <fmt/format.h>

#include "api/context.h"
#include "base/text.h"
#include "base/time_text.h"
#include "query/zone_files.h"

namespace clickmill::api {
namespace {

/// null before the first entry: nothing has a time then.
std::string time_or_null(int64_t ms) { return ms == 0 ? "null" : '"' + format_time_ms(ms) + '"'; }

std::string partition_json(const std::string& leader, const cluster::Partition::State& state) {
  // The digest in hex: most JSON readers keep 53 bits of a number.
  return fmt::format(
      "{{\"partition\":{},\"leader\":{},\"term\":{},\"committed_offset\":{},\"applied_offset\":{},"
      "\"log_time\":{},\"low_water\":{},\"digest\":{{\"offset\":{},\"value\":\"{:016x}\"}}}}",
      state.id.value(), json_quoted(leader), state.term.value(), state.committed.value(),
      state.applied.value(), time_or_null(state.log_time.value()),
      time_or_null(state.low_water.value()), state.digest.offset.value(), state.digest.value);
}

/// A node alone: it is there, since it answers, and leads every partition.
http::Response describe(Context& context) {
  const auto states = context.reader.states();
  if (!states) return problem_of(states.error());
  const std::string node = json_quoted(context.node_id);
  std::string body = fmt::format(
      "{{\"node_id\":{},\"nodes\":[{{\"node_id\":{},\"state\":\"up\",\"last_seen\":\"{}\","
      "\"tzdata\":\"{}\"}}],"
      "\"partitions\":[",
      node, node, format_time_ms(context.clock.wall_ms()), query::ZoneFiles::system().version());
  for (const auto& state : *states) {
    if (state.id != states->front().id) body += ',';
    body += partition_json(context.node_id, state);
  }
  return http::json_response(body + "]}");
}

}  // namespace

void add_cluster_route(http::Router& router, Context& context) {
  router.add(http::Method::get, "/v1/cluster",
             [&context](http::RequestPtr request, http::Router::Params, http::Responder respond) {
               if (!admit(context, *request, {http::Role::admin}, "admin", respond)) return;
               if (auto refused = refuse_parameters(*request)) return respond(*std::move(refused));
               run_task(context.pools.queries, std::move(respond),
                        [&context] { return describe(context); });
             });
}

}  // namespace clickmill::api
