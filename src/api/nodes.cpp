#include <fmt/format.h>

#include "api/context.h"

namespace clickmill::api {
namespace {

http::Response not_of_a_cluster() {
  return http::problem(409, "this node has no peers: its config has no cluster");
}

http::Response led(const Context& context) {
  const auto led = context.peers->led();
  return http::json_response(
      fmt::format("{{\"groups_led\":{},\"groups_with_strangers\":{},\"draining\":{}}}", led.groups,
                  led.with_strangers, context.peers->draining()));
}

/// The groups led here part with a node; to be asked of every node, until none has it.
http::Response let_go(Context& context, const std::string& node) {
  if (context.peers == nullptr) return not_of_a_cluster();
  if (auto taken = context.peers->let_go(node); !taken)
    return http::problem(409, taken.error().message());
  return led(context);
}

http::Response drain(Context& context, bool on) {
  if (context.peers == nullptr) return not_of_a_cluster();
  context.peers->drain(on);
  return led(context);
}

}  // namespace

void add_node_routes(http::Router& router, Context& context) {
  router.add(
      http::Method::delete_, "/v1/cluster/nodes/{node_id}",
      [&context](http::RequestPtr request, http::Router::Params params, http::Responder respond) {
        if (!admit(context, *request, {http::Role::admin}, "admin", respond)) return;
        if (auto refused = refuse_parameters(*request)) return respond(*std::move(refused));
        respond(let_go(context, params[0]));
      });
  const auto drains = [&context, &router](http::Method method, bool on) {
    router.add(
        method, "/v1/cluster/drain",
        [&context, on](http::RequestPtr request, http::Router::Params, http::Responder respond) {
          if (!admit(context, *request, {http::Role::admin}, "admin", respond)) return;
          if (auto refused = refuse_parameters(*request)) return respond(*std::move(refused));
          respond(drain(context, on));
        });
  };
  drains(http::Method::post, true);
  drains(http::Method::delete_, false);
}

}  // namespace clickmill::api
