#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "engine/config.h"
#include "http/client.h"

namespace clickmill::tools {

/// Asks the api of a running node, one question after the other. Thread: one.
class NodeApi {
 public:
  /// `url`: http://HOST:PORT of its api. `key_file` holds a key; empty: none is needed.
  /// Errc::invalid: the URL or the key can't be used.
  static Result<std::unique_ptr<NodeApi>> open(const std::string& url, const std::string& key_file);
  ~NodeApi() { client_->stop(); }
  NodeApi(const NodeApi&) = delete;
  NodeApi& operator=(const NodeApi&) = delete;

  /// Whatever it answers. Errc::io, Errc::busy: it doesn't.
  Result<http::Client::Reply> ask(http::Method method, const std::string& path);
  Result<http::Client::Reply> get(const std::string& path) { return ask(http::Method::get, path); }
  /// The body of an answer that is 200; else what the node says, as Errc::invalid.
  Result<std::string> body_of(const std::string& path);
  const std::string& url() const { return url_; }

 private:
  NodeApi(std::string url, std::unique_ptr<http::Client> client)
      : url_(std::move(url)), client_(std::move(client)) {}

  const std::string url_;
  const std::unique_ptr<http::Client> client_;
};

/// Where this machine reaches the api of the node that the config is of.
std::string api_url(const engine::Config& config);
/// Where the api of another node of its cluster is.
std::string api_url(const engine::Config& config, const engine::ClusterConfig::Peer& peer);

}  // namespace clickmill::tools
