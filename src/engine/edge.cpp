#include "engine/edge.h"

#include <cmath>
#include <utility>

#include "base/logging.h"
#include "base/random.h"
#include "base/time_text.h"

namespace clickmill::engine {
namespace {

constexpr int64_t kSoonS = 7 * 86'400;

}  // namespace

Edge::Edge(const Config& config, Metrics& metrics)
    : countries_(config.collector.country_db),
      rate_limit_(config.collector.rate_limit, secure_random_u64()),
      tls_(config.tls) {
  metrics.gauge_from("clickmill_tls_certificate_expiry_timestamp_seconds",
                     "When the certificate in use ends, since 1970.", [this] {
                       const auto used = certificate();
                       return used ? static_cast<double>(used->expires_s()) : std::nan("");
                     });
  metrics.gauge_from("clickmill_country_db_build_timestamp_seconds",
                     "When the country database in use was built, since 1970.",
                     [this] { return countries_.built_s(); });
}

Status Edge::open() {
  countries_.look_again(false);
  if (tls_.cert.empty()) return {};
  return load(tls_);
}

Status Edge::load(const Config::Tls& tls) {
  auto loaded = http::TlsContext::load(tls.cert, tls.key);
  if (!loaded) return Error(Errc::invalid, "tls: " + loaded.error().message());
  const std::lock_guard lock(mutex_);
  certificate_ = *std::move(loaded);
  return {};
}

void Edge::reload(const Config& next, http::Server& server) {
  rate_limit_.set(next.collector.rate_limit);
  // Between none and some only a new start changes: the ports would speak another protocol.
  if (tls_.cert.empty() || next.tls.cert.empty()) return;
  tls_ = next.tls;
  const auto loaded = load(tls_);
  if (loaded) server.set_tls(certificate());
  if (!loaded) log_error("tls", loaded.error().message() + "; the former stays in use");
  const std::lock_guard lock(mutex_);
  trouble_ = loaded ? "" : loaded.error().message();
}

std::shared_ptr<const http::TlsContext> Edge::certificate() const {
  const std::lock_guard lock(mutex_);
  return certificate_;
}

std::vector<std::string> Edge::warnings(int64_t now_ms) const {
  std::vector<std::string> warnings;
  if (auto trouble = countries_.trouble(); !trouble.empty()) warnings.push_back(std::move(trouble));
  const std::lock_guard lock(mutex_);
  if (!trouble_.empty()) warnings.push_back(trouble_);
  if (certificate_ && certificate_->expires_s() < now_ms / 1'000 + kSoonS) {
    warnings.push_back("tls.cert: the certificate ends at " +
                       format_time_ms(certificate_->expires_s() * 1'000));
  }
  return warnings;
}

void check_files(const Config& config) {
  if (!config.tls.cert.empty()) {
    if (auto loaded = http::TlsContext::load(config.tls.cert, config.tls.key); !loaded)
      throw ConfigError("tls: " + loaded.error().message());
  }
  if (!config.collector.country_db.empty()) {
    if (auto opened = collector::CountryDb::open(config.collector.country_db); !opened)
      throw ConfigError("collector.country_db: " + opened.error().text());
  }
}

}  // namespace clickmill::engine
