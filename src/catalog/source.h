#pragma once

#include <functional>
#include <memory>
#include <string>

#include "catalog/catalog.h"
#include "http/client.h"

namespace clickmill::catalog {

/// What became of one question to the configuration service.
struct SourceAnswer {
  enum class Kind : uint8_t { ad, no_ad, failed };
  Kind kind = Kind::failed;
  Ad ad;
  std::string why;  ///< failed: what the service did
};

/// Where ads come from when not from this node's own catalog.
class Source {
 public:
  virtual ~Source() = default;
  /// Asks once. `done` is called exactly once, from any thread, also at once.
  virtual void fetch(const std::string& ad_id, std::function<void(SourceAnswer)> done) = 0;
};

/// `GET {url}/{ad_id}`: 200 with the ad, 404 for none; anything else, a wrong
/// body and silence for `timeout_ms` included, has failed. `client` is borrowed.
std::unique_ptr<Source> open_http_source(http::Client& client, int64_t timeout_ms);
/// The rule for one reply.
SourceAnswer answer_of(const std::string& ad_id, const Result<http::Client::Reply>& reply);

}  // namespace clickmill::catalog
