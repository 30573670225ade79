#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"

namespace clickmill::http {

/// Finds the handler of a method and path. Patterns are literal segments and
/// `{name}`, which matches one segment; a literal wins over a name.
/// Unknown path: 404 problem. Known path, other method: 405 problem with `Allow`.
/// HEAD falls back to GET (the server sends no body). OPTIONS is routed only
/// where a handler was added for it.
/// Thread: add before serving; handle any (immutable then).
class Router {
 public:
  using Params = std::vector<std::string>;  ///< the `{…}` segments, percent-decoded, in order
  using RouteHandler = std::function<void(RequestPtr, Params, Responder)>;
  void add(Method method, std::string_view pattern, RouteHandler handler);
  void handle(RequestPtr request, Responder respond) const;

 private:
  struct Route {
    std::vector<std::string> segments;
    Method method;
    RouteHandler handler;
  };
  std::vector<Route> routes_;
};

}  // namespace clickmill::http
