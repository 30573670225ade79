#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/logging.h"
#include "collector/durability.h"
#include "collector/rate_limit.h"
#include "engine/cluster_config.h"
#include "engine/config_error.h"
#include "http/auth.h"
#include "log/segments.h"
#include "sinks/settings.h"

namespace clickmill::engine {

using collector::Durability;

/// Everything `clickmill serve` can be told (DESIGN §8); values are the defaults.
/// From parse_config() the paths of files are absolute.
struct Config {
  std::string node_id = "n1";
  std::string data_dir = "./clickmill-data";
  /// Empty collector and api: no port at all. check_config refuses that; a program that holds
  /// the node may want it all the same.
  struct Listen {
    std::string collector = "127.0.0.1:8080";
    std::string api = "127.0.0.1:8081";
    std::string peer = "127.0.0.1:8082";
    friend bool operator==(const Listen&, const Listen&) = default;
  } listen;
  std::optional<ClusterConfig> cluster;  ///< nothing: a node alone
  struct Log {
    uint32_t partitions = 64;
    uint32_t retention_days = 90;
    uint64_t retention_bytes = 0;
    uint64_t segment_bytes = 268'435'456;
    log::Compression compression = log::Compression::lz4;
    uint64_t journal_bytes = 0;
    friend bool operator==(const Log&, const Log&) = default;
  } log;
  struct Collector {
    Durability durability = Durability::synced;
    uint32_t redirect_deadline_ms = 50;
    std::string default_redirect;
    std::vector<std::string> trusted_proxies;  ///< addresses or CIDR blocks
    // Headers that trusted proxies set, lower-cased; empty: none.
    std::string country_header;
    std::string client_ip_header;
    std::string click_id_header;
    std::string country_db;
    std::vector<std::string> cors_origins = {"*"};
    uint64_t max_body_bytes = 16'384;
    uint64_t buffer_bytes = 67'108'864;
    collector::RateLimit::Rule rate_limit;
    bool proxy_protocol = false;  ///< connections of trusted proxies begin with a PROXY header
    friend bool operator==(const Collector&, const Collector&) = default;
  } collector;
  struct Stream {
    uint32_t dedup_hours = 24;
    uint32_t window_grace_s = 30;
    uint32_t max_clock_ahead_s = 30;
    uint32_t double_click_ms = 0;
    uint32_t checkpoint_interval_s = 30;
    uint32_t stale_after_hours = 72;
    friend bool operator==(const Stream&, const Stream&) = default;
  } stream;
  struct Store {
    uint32_t minute_days = 1826;
    uint32_t hour_days = 1826;
    uint32_t day_days = 1826;
    friend bool operator==(const Store&, const Store&) = default;
  } store;
  struct Query {
    uint64_t max_points = 100'000;
    friend bool operator==(const Query&, const Query&) = default;
  } query;
  struct CatalogSource {
    std::string source = "builtin";  ///< or "http"
    std::string file;                ///< absolute, and may be missing; empty: none
    std::string url;
    uint32_t timeout_ms = 200;
    uint32_t ttl_s = 60;
    friend bool operator==(const CatalogSource&, const CatalogSource&) = default;
  } catalog;
  std::vector<http::Key> keys;
  std::vector<sinks::Settings> sinks;
  struct Tls {
    std::string cert;
    std::string key;
    friend bool operator==(const Tls&, const Tls&) = default;
  } tls;
  uint32_t idle_timeout_s = 75;
  uint32_t shutdown_delay_s = 1;
  uint32_t threads = 0;          ///< 0: as many as cores
  uint64_t memory_limit_mb = 0;  ///< 0: none
  LogLevel log_level = LogLevel::info;
  LogFormat log_format = LogFormat::text;

  friend bool operator==(const Config&, const Config&) = default;
};

/// Reads JSON with comments. `path` is for messages and relative paths; empty:
/// no config file, relative paths start at the current directory.
/// Throws ConfigError naming every wrong key: unknown ones with the nearest
/// known key, wrong types and ranges with the rule, and those whose work has
/// not come yet when they are not at their default ("memory_limit_mb").
Config parse_config(std::string_view json, const std::string& path);
/// Reads and parses a file. Throws ConfigError.
Config load_config(const std::string& path);
/// An api on a public address without keys, two listeners on one port, …: throws ConfigError.
void check_config(const Config& config);

}  // namespace clickmill::engine
