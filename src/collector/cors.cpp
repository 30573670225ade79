#include "collector/cors.h"

#include <algorithm>
#include <utility>

namespace clickmill::collector {
namespace {

bool contains(const std::vector<std::string>& origins, std::string_view origin) {
  return std::find(origins.begin(), origins.end(), origin) != origins.end();
}

}  // namespace

Cors::Cors(std::vector<std::string> origins)
    : origins_(std::move(origins)), any_(contains(origins_, "*")) {}

void Cors::add_to(const http::Request& request, http::Response& response) const {
  if (origins_.empty()) return;
  // On every answer, allowed or not: a cache must not give one origin what was another's.
  response.headers.emplace_back("Vary", "Origin");
  const auto origin = request.header("Origin");
  if (origin.empty() || !(any_ || contains(origins_, origin))) return;
  // The origin itself, also for "*": with credentials browsers take no star.
  response.headers.emplace_back("Access-Control-Allow-Origin", std::string(origin));
  response.headers.emplace_back("Access-Control-Allow-Credentials", "true");
}

http::Finish Cors::on_all() const {
  return
      [this](const http::Request& request, http::Response& response) { add_to(request, response); };
}

http::Finish Cors::on_path(std::string path) const {
  return [this, path = std::move(path)](const http::Request& request, http::Response& response) {
    if (request.path == path) add_to(request, response);
  };
}

http::Response Cors::preflight() {
  http::Response response;
  response.status = 204;
  response.headers = {{"Access-Control-Allow-Methods", "GET, POST, HEAD, OPTIONS"},
                      {"Access-Control-Allow-Headers", "Content-Type, Content-Encoding"},
                      {"Access-Control-Max-Age", "86400"}};
  return response;
}

}  // namespace clickmill::collector
