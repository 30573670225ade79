#include "http/router.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/query_params.h"

namespace clickmill::http {
namespace {

bool is_name(std::string_view segment) {
  return segment.size() >= 2 && segment.front() == '{' && segment.back() == '}';
}

std::string_view method_name(Method method) {
  switch (method) {
    case Method::get: return "GET";
    case Method::head: return "HEAD";
    case Method::post: return "POST";
    case Method::put: return "PUT";
    case Method::delete_: return "DELETE";
    case Method::options: return "OPTIONS";
    case Method::other: break;
  }
  return {};
}

/// The segments after the leading slash: "/a/b" has two, "/" has one empty.
template <typename Sink>
void for_each_segment(std::string_view path, Sink&& sink) {
  if (!path.empty() && path.front() == '/') path.remove_prefix(1);
  while (true) {
    const size_t slash = path.find('/');
    sink(path.substr(0, slash));
    if (slash == std::string_view::npos) return;
    path.remove_prefix(slash + 1);
  }
}

/// Decodes each segment by itself, so that %2F stays part of its segment.
std::optional<std::vector<std::string>> decoded_segments(std::string_view path) {
  std::vector<std::string> out;
  bool broken = false;
  for_each_segment(path, [&](std::string_view segment) {
    auto text = percent_decoded(segment);
    broken = broken || !text;
    if (text) out.push_back(*std::move(text));
  });
  if (broken) return std::nullopt;
  return out;
}

bool matches(const std::vector<std::string>& pattern, const std::vector<std::string>& path) {
  return std::equal(pattern.begin(), pattern.end(), path.begin(), path.end(),
                    [](const std::string& expected, const std::string& actual) {
                      return is_name(expected) ? !actual.empty() : expected == actual;
                    });
}

/// Whether `a` has a literal at the first place where only one of them has.
bool more_literal(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  for (size_t i = 0; i < a.size(); ++i) {
    if (is_name(a[i]) != is_name(b[i])) return is_name(b[i]);
  }
  return false;
}

bool serves(Method route, Method asked) {
  return route == asked || (asked == Method::head && route == Method::get);
}

Response method_not_allowed(const std::vector<Method>& known) {
  std::string allow;
  for (Method method :
       {Method::get, Method::head, Method::post, Method::put, Method::delete_, Method::options}) {
    const bool served = std::any_of(known.begin(), known.end(),
                                    [&](Method route) { return serves(route, method); });
    if (!served) continue;
    if (!allow.empty()) allow += ", ";
    allow += method_name(method);
  }
  Response response = problem(405, "this path answers " + allow);
  response.headers.emplace_back("Allow", allow);
  return response;
}

}  // namespace

void Router::add(Method method, std::string_view pattern, RouteHandler handler) {
  Route route{{}, {}, method, std::move(handler), nullptr};
  if (metrics_ != nullptr) {
    route.requests =
        &metrics_->counter("clickmill_http_route_requests_total", "HTTP requests by route.",
                           fmt::format(R"(listener="{}",method="{}",route="{}")", listener_,
                                       method_name(method), pattern));
  }
  for_each_segment(pattern, [&](std::string_view s) { route.segments.emplace_back(s); });
  if (std::none_of(route.segments.begin(), route.segments.end(), is_name)) route.literal = pattern;
  routes_.push_back(std::move(route));
}

void Router::handle(RequestPtr request, Responder respond) const {
  // No other pattern is better than one without names, and nothing in it is escaped.
  for (const Route& route : routes_) {
    if (route.literal.empty() || route.literal != request->path) continue;
    if (!serves(route.method, request->method)) continue;
    if (route.requests != nullptr) route.requests->add();
    return route.handler(std::move(request), {}, std::move(respond));
  }
  auto path = decoded_segments(request->path);
  if (!path) return respond(problem(400, "the path has a malformed percent escape"));
  const Route* best = nullptr;
  std::vector<Method> known;
  for (const Route& route : routes_) {
    if (!matches(route.segments, *path)) continue;
    known.push_back(route.method);
    if (!serves(route.method, request->method)) continue;
    if (best == nullptr || more_literal(route.segments, best->segments)) best = &route;
  }
  if (known.empty()) return respond(problem(404, "no such path: " + std::string(request->path)));
  if (best == nullptr) return respond(method_not_allowed(known));
  if (best->requests != nullptr) best->requests->add();
  Params params;
  for (size_t i = 0; i < path->size(); ++i) {
    if (is_name(best->segments[i])) params.push_back(std::move((*path)[i]));
  }
  best->handler(std::move(request), std::move(params), std::move(respond));
}

Handler Router::handler() const {
  return [this](RequestPtr request, Responder respond) {
    handle(std::move(request), std::move(respond));
  };
}

}  // namespace clickmill::http
