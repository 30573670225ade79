#include "engine/config.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "base/text.h"
#include "engine/config_reader.h"
#include "engine/sinks_config.h"
#include "http/client.h"
#include "http/server.h"

namespace clickmill::engine {
namespace {

constexpr uint64_t kKiB = 1024;
constexpr uint64_t kMiB = 1024 * kKiB;
constexpr uint64_t kGiB = 1024 * kMiB;
constexpr size_t kLongestUrl = 2048;
// Blocks that are not full yet stand in the journal, up to 4,096 clicks of each
// partition; clicks and the reserve need room beside them.
constexpr uint64_t kSmallestJournal = 256 * kMiB;

/// Keys that are known and checked, but whose work has not come yet: any value
/// but this one is refused.
struct Unsupported {
  std::string_view key;
  std::string_view only_value;  // JSON; empty: the key must be absent
};
constexpr Unsupported kUnsupported[] = {
    {"memory_limit_mb", "0"},
};

// Rules of values; each answers whether the value is right.

/// Visible ASCII and UTF-8, no blanks and no control characters.
bool is_one_word(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<uint8_t>(c);
    return byte > 0x20 && byte != 0x7f;
  });
}

/// What follows "http://" or "https://"; empty when it begins with neither.
std::string_view after_scheme(std::string_view url) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (url.substr(0, scheme.size()) == scheme) return url.substr(scheme.size());
  }
  return {};
}

bool is_http_url(std::string_view url) {
  const auto rest = after_scheme(url);
  return !rest.empty() && rest.front() != '/' && url.size() <= kLongestUrl && is_one_word(url);
}

/// As browsers send it: scheme and host, perhaps a port, no path.
bool is_origin(std::string_view origin) {
  return origin == "*" || consists_of(after_scheme(origin), 300, ".-_:[]");
}

bool is_address_or_block(const std::string& text) {
  const size_t slash = text.find('/');
  const std::string address = text.substr(0, slash);
  unsigned char bytes[sizeof(in6_addr)];
  unsigned bits_max = 0;
  if (::inet_pton(AF_INET, address.c_str(), bytes) == 1) bits_max = 32;
  if (::inet_pton(AF_INET6, address.c_str(), bytes) == 1) bits_max = 128;
  // A zero byte would end the text for inet_pton only.
  if (bits_max == 0 || text.find('\0') != std::string::npos) return false;
  if (slash == std::string::npos) return true;
  unsigned bits = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, failure] = std::from_chars(text.data() + slash + 1, end, bits);
  return failure == std::errc{} && stop == end && bits <= bits_max;
}

/// A field name as HTTP has it (RFC 9110, token).
bool is_header_name(std::string_view name) { return consists_of(name, 64, "!#$%&'*+-.^_`|~"); }

bool is_sha256_hex(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::string lower_cased(std::string text) {
  for (char& c : text) c = (c >= 'A' && c <= 'Z') ? static_cast<char>(c - 'A' + 'a') : c;
  return text;
}

// One function per section of the file.

void read_listen(ConfigReader& in, Config::Listen& out) {
  const auto read_address = [&in](std::string_view key, std::string& address) {
    if (!in.text(key, address)) return;
    if (const auto parsed = http::parse_host_port(address); !parsed) {
      in.problem(key, parsed.error().message());
    }
  };
  read_address("listen.collector", out.collector);
  read_address("listen.api", out.api);
  read_address("listen.peer", out.peer);
}

void read_log(ConfigReader& in, Config::Log& out) {
  in.number("log.partitions", out.partitions, 1, 1024);
  in.number("log.retention_days", out.retention_days, 1, 3650);
  in.number("log.retention_bytes", out.retention_bytes, 0);
  in.number("log.segment_bytes", out.segment_bytes, kMiB, 4 * kGiB);
  in.choice<log::Compression>("log.compression", out.compression,
                              {{"none", log::Compression::none},
                               {"lz4", log::Compression::lz4},
                               {"zstd", log::Compression::zstd}});
  in.number("log.journal_bytes", out.journal_bytes, 0);
  if (out.journal_bytes != 0 && out.journal_bytes < kSmallestJournal) {
    in.problem("log.journal_bytes", std::to_string(out.journal_bytes) +
                                        " is neither 0 nor at least " +
                                        std::to_string(kSmallestJournal));
  }
}

void read_header_name(ConfigReader& in, std::string_view key, std::string& out) {
  in.text(key, out);
  out = lower_cased(out);
  if (!out.empty() && !is_header_name(out)) in.problem(key, "not the name of an HTTP header");
}

void read_path(ConfigReader& in, std::string_view key, const std::filesystem::path& folder,
               std::string& out) {
  if (in.text(key, out) && !out.empty()) out = (folder / out).lexically_normal().string();
}

void read_rate_limit(ConfigReader& in, collector::RateLimit::Rule& out) {
  constexpr uint32_t kMost = 1'000'000;
  const bool has_rate = in.number("collector.rate_limit.clicks_per_s", out.clicks_per_s, 1, kMost);
  out.burst = std::min(2 * out.clicks_per_s, kMost);
  const bool has_burst = in.number("collector.rate_limit.burst", out.burst, 1, kMost);
  if (has_burst && !has_rate && !in.has("collector.rate_limit.clicks_per_s")) {
    in.problem("collector.rate_limit.clicks_per_s",
               "is missing: collector.rate_limit.burst needs it");
  }
}

void read_collector(ConfigReader& in, const std::filesystem::path& folder, Config::Collector& out) {
  in.choice<Durability>("collector.durability", out.durability,
                        {{"memory", Durability::memory},
                         {"written", Durability::written},
                         {"synced", Durability::synced},
                         {"replicated", Durability::replicated}});
  in.number("collector.redirect_deadline_ms", out.redirect_deadline_ms, 1, 10'000);
  in.text("collector.default_redirect", out.default_redirect);
  if (!out.default_redirect.empty() && !is_http_url(out.default_redirect)) {
    in.problem("collector.default_redirect",
               "not an http or https URL of at most 2048 bytes without blanks");
  }
  in.texts("collector.trusted_proxies", out.trusted_proxies);
  for (const std::string& proxy : out.trusted_proxies) {
    if (is_address_or_block(proxy)) continue;
    in.problem("collector.trusted_proxies",
               '"' + proxy + "\" is neither an IP address nor a block such as 10.0.0.0/8");
  }
  read_header_name(in, "collector.country_header", out.country_header);
  read_header_name(in, "collector.client_ip_header", out.client_ip_header);
  read_header_name(in, "collector.click_id_header", out.click_id_header);
  in.choice<bool>("collector.proxy_protocol", out.proxy_protocol, {{"off", false}, {"on", true}});
  if (out.proxy_protocol && out.trusted_proxies.empty()) {
    in.problem(
        "collector.proxy_protocol",
        "\"on\" needs collector.trusted_proxies: only their connections begin with a header");
  }
  read_path(in, "collector.country_db", folder, out.country_db);
  read_rate_limit(in, out.rate_limit);
  in.texts("collector.cors_origins", out.cors_origins);
  for (const std::string& origin : out.cors_origins) {
    if (is_origin(origin)) continue;
    in.problem("collector.cors_origins",
               '"' + origin + "\" is neither \"*\" nor an origin such as https://example.com");
  }
  in.number("collector.max_body_bytes", out.max_body_bytes, kKiB, kMiB);
  in.number("collector.buffer_bytes", out.buffer_bytes, kMiB, 64 * kGiB);
}

void read_stream(ConfigReader& in, Config::Stream& out) {
  in.number("stream.dedup_hours", out.dedup_hours, 1, 168);
  in.number("stream.window_grace_s", out.window_grace_s, 0, 3600);
  in.number("stream.max_clock_ahead_s", out.max_clock_ahead_s, 0, 3600);
  in.number("stream.double_click_ms", out.double_click_ms, 0, 60'000);
  in.number("stream.checkpoint_interval_s", out.checkpoint_interval_s, 1, 3600);
  in.number("stream.stale_after_hours", out.stale_after_hours, 1, 8760);
  if (out.stale_after_hours < out.dedup_hours) {
    in.problem("stream.stale_after_hours", std::to_string(out.stale_after_hours) +
                                               " is below stream.dedup_hours, " +
                                               std::to_string(out.dedup_hours));
  }
}

void read_store(ConfigReader& in, Config::Store& out) {
  in.number("store.retention_days.minute", out.minute_days, 1, 36'500);
  in.number("store.retention_days.hour", out.hour_days, 1, 36'500);
  in.number("store.retention_days.day", out.day_days, 1, 36'500);
}

void read_catalog_url(ConfigReader& in, Config::CatalogSource& out) {
  in.text("catalog.url", out.url);
  if (out.url.empty()) {
    if (out.source == "http")
      in.problem("catalog.url", "is missing: catalog.source \"http\" needs it");
  } else if (out.source != "http") {
    in.problem("catalog.url", "only catalog.source \"http\" has one");
  } else if (const auto url = http::parse_url(out.url); !url) {
    in.problem("catalog.url", url.error().message());
  }
}

void read_catalog(ConfigReader& in, const std::filesystem::path& folder,
                  Config::CatalogSource& out) {
  in.choice<std::string>("catalog.source", out.source, {{"builtin", "builtin"}, {"http", "http"}});
  std::string file = "ads.ndjson";
  const bool is_named = in.text("catalog.file", file);
  const auto path = folder / file;
  std::error_code ignored;
  if (!file.empty() && (is_named || std::filesystem::exists(path, ignored)))
    out.file = path.lexically_normal().string();
  read_catalog_url(in, out);
  if (out.source == "http") {
    if (is_named && !file.empty())
      in.problem("catalog.file", "only catalog.source \"builtin\" has one");
    out.file.clear();
  }
  in.number("catalog.timeout_ms", out.timeout_ms, 1, 10'000);
  in.number("catalog.ttl_s", out.ttl_s, 1, 86'400);
}

http::Key read_key(ConfigReader& in, const std::string& path) {
  http::Key key;
  const auto required = [&](const char* field, std::string& value) {
    if (!in.has(path + field)) in.problem(path + field, "is missing");
    return in.text(path + field, value);
  };
  if (required(".name", key.name) && (key.name.empty() || key.name.size() > 128 ||
                                      std::any_of(key.name.begin(), key.name.end(), [](char c) {
                                        return static_cast<uint8_t>(c) < 0x20 || c == 0x7f;
                                      }))) {
    in.problem(path + ".name", "not 1 to 128 bytes without control characters");
  }
  if (required(".sha256", key.sha256_hex)) {
    key.sha256_hex = lower_cased(key.sha256_hex);
    if (!is_sha256_hex(key.sha256_hex)) in.problem(path + ".sha256", "not 64 hex digits");
  }
  if (!in.has(path + ".role")) in.problem(path + ".role", "is missing");
  const bool has_role = in.choice<http::Role>(path + ".role", key.role,
                                              {{"advertiser", http::Role::advertiser},
                                               {"ingest", http::Role::ingest},
                                               {"admin", http::Role::admin}});
  const std::string advertiser = path + ".advertiser_id";
  const bool has_advertiser = in.text(advertiser, key.advertiser_id);
  if (has_advertiser && !consists_of(key.advertiser_id, 64, "._:-")) {
    in.problem(advertiser, "not 1 to 64 letters, digits and . _ : -");
  }
  if (has_role && in.has(advertiser) != (key.role == http::Role::advertiser)) {
    in.problem(advertiser, has_advertiser ? "only a key of role \"advertiser\" has one"
                                          : "is missing: role \"advertiser\" needs it");
  }
  return key;
}

void read_keys(ConfigReader& in, std::vector<http::Key>& out) {
  std::set<std::string> digests;
  for (size_t i = 0, count = in.objects("auth.keys"); i < count; ++i) {
    const std::string path = "auth.keys[" + std::to_string(i) + "]";
    out.push_back(read_key(in, path));
    const std::string& digest = out.back().sha256_hex;
    if (!digest.empty() && !digests.insert(digest).second) {
      in.problem(path + ".sha256", "an earlier key has the same");
    }
  }
}

void read_tls(ConfigReader& in, const std::filesystem::path& folder, Config::Tls& out) {
  read_path(in, "tls.cert", folder, out.cert);
  read_path(in, "tls.key", folder, out.key);
  if (out.cert.empty() != out.key.empty())
    in.problem(out.cert.empty() ? "tls.cert" : "tls.key", "is missing: one needs the other");
}

void read_process(ConfigReader& in, Config& out) {
  in.number("idle_timeout_s", out.idle_timeout_s, 1, 3'600);
  in.number("shutdown_delay_s", out.shutdown_delay_s, 0, 300);
  in.number("threads", out.threads, 0, 256);
  in.number("memory_limit_mb", out.memory_limit_mb, 0, 1 << 24);
  in.choice<LogLevel>("log_level", out.log_level,
                      {{"debug", LogLevel::debug},
                       {"info", LogLevel::info},
                       {"warn", LogLevel::warn},
                       {"error", LogLevel::error}});
  in.choice<LogFormat>("log_format", out.log_format,
                       {{"text", LogFormat::text}, {"json", LogFormat::json}});
}

void read_node(ConfigReader& in, const std::filesystem::path& folder, Config& out) {
  if (in.text("node_id", out.node_id) && !is_node_id(out.node_id)) {
    in.problem("node_id", "not 1 to 64 letters, digits and . _ -");
  }
  if (in.text("data_dir", out.data_dir) && out.data_dir.empty()) {
    in.problem("data_dir", "is empty");
  }
  out.data_dir = (folder / out.data_dir).lexically_normal().string();
}

void refuse_unsupported(ConfigReader& in) {
  for (const Unsupported& one : kUnsupported) {
    const std::string rule =
        one.only_value.empty() ? "leave it out" : "leave it at " + std::string(one.only_value);
    in.refuse(one.key, one.only_value, "not supported by this version; " + rule);
  }
}

/// Where relative paths start.
std::filesystem::path folder_of(const std::string& path) {
  std::error_code failure;
  auto absolute = std::filesystem::absolute(path.empty() ? "config" : path, failure);
  if (failure) throw ConfigError(path + ": the current directory is gone: " + failure.message());
  return absolute.parent_path();
}

}  // namespace

Config parse_config(std::string_view json, const std::string& path) {
  auto parsed = ConfigReader::parse(json);
  if (!parsed) throw ConfigError((path.empty() ? "" : path + ": ") + parsed.error().message());
  ConfigReader& in = *parsed;
  const auto folder = folder_of(path);
  Config config;
  read_node(in, folder, config);
  read_listen(in, config.listen);
  read_log(in, config.log);
  read_collector(in, folder, config.collector);
  read_stream(in, config.stream);
  read_store(in, config.store);
  in.number("query.max_points", config.query.max_points, 1, 1'000'000);
  read_catalog(in, folder, config.catalog);
  read_keys(in, config.keys);
  read_tls(in, folder, config.tls);
  read_process(in, config);
  config.sinks = read_sinks(in, folder.string());
  config.cluster = read_cluster(in, folder.string(), config.node_id);
  if (config.collector.durability == Durability::replicated && !config.cluster) {
    in.problem("collector.durability",
               "\"replicated\" waits for other nodes, and there is no cluster");
  }
  refuse_unsupported(in);
  std::string problems;
  for (const std::string& line : std::move(in).finish()) {
    problems += (problems.empty() ? "" : "\n") + line;
  }
  if (!problems.empty()) throw ConfigError(problems);
  return config;
}

Config load_config(const std::string& path) {
  std::error_code ignored;
  std::ifstream file(path, std::ios::binary);
  // A directory opens, and only reading it fails, with an exception.
  if (!file.is_open() || std::filesystem::is_directory(path, ignored)) {
    throw ConfigError(path + ": cannot be read");
  }
  std::ostringstream json;
  if (file.peek() != std::ifstream::traits_type::eof()) json << file.rdbuf();
  if (file.bad() || json.fail()) throw ConfigError(path + ": cannot be read");
  return parse_config(json.str(), path);
}

void check_config(const Config& config) {
  const auto parse = [](const char* key, const std::string& address) {
    auto parsed = http::parse_host_port(address);
    if (!parsed) throw ConfigError(std::string(key) + ": " + parsed.error().message());
    return *std::move(parsed);
  };
  const http::HostPort collector = parse("listen.collector", config.listen.collector);
  const http::HostPort api = parse("listen.api", config.listen.api);
  if (!api.is_loopback && config.keys.empty()) {
    throw ConfigError("listen.api: " + config.listen.api +
                      " is not a loopback address and auth.keys is empty, so anybody could read "
                      "and change everything; add a key or listen on 127.0.0.1");
  }
  if (api.port != 0 && api.port == collector.port && api.host == collector.host) {
    throw ConfigError("listen.api: " + config.listen.api +
                      " is listen.collector too; each needs a port of its own");
  }
  if (!config.cluster) return;
  const http::HostPort peer = parse("listen.peer", config.listen.peer);
  for (const auto& [key, other] :
       {std::pair("listen.collector", &collector), std::pair("listen.api", &api)}) {
    if (peer.port != 0 && peer.port == other->port && peer.host == other->host) {
      throw ConfigError("listen.peer: " + config.listen.peer + " is " + key +
                        " too; each needs a port of its own");
    }
  }
}

}  // namespace clickmill::engine
