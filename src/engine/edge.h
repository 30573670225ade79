#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "base/result.h"
#include "collector/country_db.h"
#include "collector/rate_limit.h"
#include "engine/config.h"
#include "http/server.h"

namespace clickmill::engine {

/// What a node knows of the outside besides its config, and takes in again while it runs:
/// certificates, the country database; and how much a client may send.
/// Thread: open, reload on the main one; look_again one at a time; the rest any.
class Edge {
 public:
  /// `metrics` must not be rendered after the Edge has gone.
  Edge(const Config& config, Metrics& metrics);
  /// Reads the files. Errc::invalid: TLS is asked for and can't be had. A country database
  /// that can't be read is a warning.
  Status open();
  /// What can't be read leaves what there is in use. The country database is not of it:
  /// look_again() takes long.
  void reload(const Config& next, http::Server& server);
  /// Reads the country database if its file has been replaced, or `anyway`.
  void look_again(bool anyway) { countries_.look_again(anyway); }

  const collector::Countries& countries() const { return countries_; }
  collector::RateLimit& rate_limit() { return rate_limit_; }
  /// Null: the listeners are not encrypted.
  std::shared_ptr<const http::TlsContext> certificate() const;
  /// What an operator should know.
  std::vector<std::string> warnings(int64_t now_ms) const;

 private:
  Status load(const Config::Tls& tls);

  collector::Countries countries_;
  collector::RateLimit rate_limit_;
  Config::Tls tls_;
  mutable std::mutex mutex_;  ///< guards the two below, which warnings and metrics read
  std::shared_ptr<const http::TlsContext> certificate_;  ///< null: none
  std::string trouble_;                                  ///< why the files are not in use
};

/// Whether the files that a config names can be used. Throws ConfigError.
void check_files(const Config& config);

}  // namespace clickmill::engine
