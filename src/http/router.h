#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/metrics.h"
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
  /// Counts requests by route as clickmill_http_route_requests_total, if there are `metrics`.
  explicit Router(Metrics* metrics = nullptr, std::string listener = {})
      : metrics_(metrics), listener_(std::move(listener)) {}
  using RouteHandler = std::function<void(RequestPtr, Params, Responder)>;
  void add(Method method, std::string_view pattern, RouteHandler handler);
  void handle(RequestPtr request, Responder respond) const;
  /// handle(), of this router, which must outlive it.
  Handler handler() const;

 private:
  struct Route {
    std::string literal;  ///< the pattern; empty when it has names
    std::vector<std::string> segments;
    Method method;
    RouteHandler handler;
    Counter* requests;  ///< null: not counted
  };
  Metrics* metrics_;
  std::string listener_;
  std::vector<Route> routes_;
};

}  // namespace clickmill::http
