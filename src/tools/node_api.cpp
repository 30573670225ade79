#include "tools/node_api.h"

#include <fmt/format.h>

#include <future>
#include <nlohmann/json.hpp>

#include "base/file_system.h"
#include "http/message.h"
#include "http/server.h"

namespace clickmill::tools {
namespace {

constexpr int64_t kTimeoutMs = 10'000;
constexpr uint64_t kReplyMost = 8 << 20;

const char* scheme(const engine::Config& config) {
  return config.tls.cert.empty() ? "http" : "https";
}

}  // namespace

Result<std::unique_ptr<NodeApi>> NodeApi::open(const std::string& url,
                                               const std::string& key_file) {
  http::Client::Options options;
  auto parsed = http::parse_url(url);
  if (!parsed) return std::move(parsed).error().with_context(url);
  options.url = *std::move(parsed);
  options.body_bytes_most = kReplyMost;
  if (!key_file.empty()) {
    PosixFileSystem files;
    std::string key = TRY(read_file(files, key_file));
    key.erase(key.find_last_not_of(" \r\n\t") + 1);
    if (key.find_first_of("\r\n") != std::string::npos)
      return Error(Errc::invalid, "--key-file: more than one line");
    options.headers.emplace_back("Authorization", "Bearer " + key);
  }
  auto client = std::make_unique<http::Client>(std::move(options));
  client->start();
  return std::unique_ptr<NodeApi>(new NodeApi(url, std::move(client)));
}

Result<http::Client::Reply> NodeApi::ask(http::Method method, const std::string& path) {
  std::promise<Result<http::Client::Reply>> promise;
  auto answered = promise.get_future();
  client_->send(method, path, kTimeoutMs, [&promise](Result<http::Client::Reply> reply) {
    promise.set_value(std::move(reply));
  });
  auto reply = answered.get();
  if (!reply) return std::move(reply).error().with_context(url_);
  return reply;
}

Result<std::string> NodeApi::body_of(const std::string& path) {
  auto reply = TRY(get(path));
  if (reply.status == 200) return std::move(reply.body);
  const auto json = nlohmann::json::parse(reply.body, nullptr, false);
  const bool says_why = json.is_object() && json.contains("detail") && json["detail"].is_string();
  const std::string why = says_why ? json["detail"].get<std::string>() : "no clickmill api?";
  return Error(Errc::invalid, fmt::format("{} answered {}: {}", url_, reply.status, why));
}

std::string api_url(const engine::Config& config) {
  std::string address = config.listen.api;
  // It listens on every interface, and on this one too.
  if (const auto at = http::parse_host_port(address); at && at->host == "0.0.0.0")
    address = fmt::format("127.0.0.1:{}", at->port);
  else if (at && at->host == "::")
    address = fmt::format("[::1]:{}", at->port);
  return fmt::format("{}://{}", scheme(config), address);
}

std::string api_url(const engine::Config& config, const engine::ClusterConfig::Peer& peer) {
  return fmt::format("{}://{}", scheme(config), peer.api);
}

}  // namespace clickmill::tools
