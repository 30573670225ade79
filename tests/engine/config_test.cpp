#include "engine/config.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <tuple>

#include "engine/config_reader.h"
#include "source_dir.h"

namespace clickmill::engine {
namespace {

const std::string kConf = std::string(kSourceDir) + "/conf/";
const std::string kPath = "/no/such/folder/clickmill.json";
const std::string kDigest(64, 'a');

/// What is wrong with a config; empty when nothing is.
std::string problems_of(const std::string& json, const std::string& path = kPath) {
  try {
    ignore(parse_config(json, path), "only what is wrong with it is asked");
    return "";
  } catch (const ConfigError& error) {
    return error.what();
  }
}

std::string check_problem(const std::string& json) {
  try {
    check_config(parse_config(json, kPath));
    return "";
  } catch (const ConfigError& error) {
    return error.what();
  }
}

/// {"a":{"b":VALUE}} for "a.b".
std::string nested(const std::string& path, const std::string& value) {
  const size_t dot = path.find('.');
  if (dot == std::string::npos) return "{\"" + path + "\":" + value + "}";
  return "{\"" + path.substr(0, dot) + "\":" + nested(path.substr(dot + 1), value) + "}";
}

std::string with_key(const std::string& fields) {
  return R"({"auth":{"keys":[{)" + fields + "}]}}";
}

void check_defaults(const Config& config) {
  CHECK(config.node_id == "n1");
  CHECK(config.listen.collector == "127.0.0.1:8080");
  CHECK(config.listen.api == "127.0.0.1:8081");
  CHECK(config.listen.peer == "127.0.0.1:8082");
  CHECK(config.log.partitions == 64);
  CHECK(config.sinks.empty());
  CHECK(config.log.retention_days == 90);
  CHECK(config.log.retention_bytes == 0);
  CHECK(config.log.segment_bytes == 268'435'456);
  CHECK(config.log.compression == log::Compression::lz4);
  CHECK(config.log.journal_bytes == 0);
  CHECK(config.collector.durability == Durability::synced);
  CHECK(config.collector.redirect_deadline_ms == 50);
  CHECK(config.collector.default_redirect.empty());
  CHECK(config.collector.trusted_proxies.empty());
  CHECK(config.collector.country_header.empty());
  CHECK(config.collector.cors_origins == std::vector<std::string>{"*"});
  CHECK(config.collector.max_body_bytes == 16'384);
  CHECK(config.collector.buffer_bytes == 67'108'864);
  CHECK(config.stream.dedup_hours == 24);
  CHECK(config.stream.window_grace_s == 30);
  CHECK(config.stream.max_clock_ahead_s == 30);
  CHECK(config.stream.double_click_ms == 0);
  CHECK(config.stream.checkpoint_interval_s == 30);
  CHECK(config.stream.stale_after_hours == 72);
  CHECK(config.store.minute_days == 1826);
  CHECK(config.store.hour_days == 1826);
  CHECK(config.store.day_days == 1826);
  CHECK(config.query.max_points == 100'000);
  CHECK(config.catalog.source == "builtin");
  CHECK(config.keys.empty());
  CHECK(config.threads == 0);
  CHECK(config.memory_limit_mb == 0);
  CHECK(config.log_level == LogLevel::info);
  CHECK(config.log_format == LogFormat::text);
}

}  // namespace

TEST_CASE("config: {} and no config give the defaults", "[engine]") {
  check_defaults(Config{});
  const Config from_file = parse_config("{}", kPath);
  check_defaults(from_file);
  CHECK(from_file.data_dir == "/no/such/folder/clickmill-data");
  CHECK(from_file.catalog.file.empty());

  const Config without_file = parse_config("{}", "");
  check_defaults(without_file);
  CHECK(without_file.data_dir == std::filesystem::current_path() / "clickmill-data");
  CHECK_NOTHROW(check_config(without_file));
}

TEST_CASE("config: the example names every key with its default", "[engine]") {
  const Config config = load_config(kConf + "clickmill.json");
  check_defaults(config);
  check_config(config);
  CHECK(config.data_dir == kConf + "clickmill-data");
  CHECK(config.catalog.file == kConf + "ads.ndjson");
  std::ifstream file(kConf + "clickmill.json");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  for (const char* key : {"node_id",
                          "data_dir",
                          "collector",
                          "api",
                          "peer",
                          "cluster",
                          "peers",
                          "replication",
                          "secret_file",
                          "ca",
                          "partitions",
                          "retention_days",
                          "retention_bytes",
                          "segment_bytes",
                          "compression",
                          "journal_bytes",
                          "durability",
                          "redirect_deadline_ms",
                          "default_redirect",
                          "trusted_proxies",
                          "country_header",
                          "client_ip_header",
                          "click_id_header",
                          "proxy_protocol",
                          "country_db",
                          "cors_origins",
                          "max_body_bytes",
                          "buffer_bytes",
                          "rate_limit",
                          "dedup_hours",
                          "window_grace_s",
                          "max_clock_ahead_s",
                          "double_click_ms",
                          "checkpoint_interval_s",
                          "stale_after_hours",
                          "minute",
                          "hour",
                          "day",
                          "max_points",
                          "source",
                          "file",
                          "url",
                          "timeout_ms",
                          "ttl_s",
                          "sinks",
                          "brokers",
                          "topic",
                          "options_file",
                          "keys",
                          "cert",
                          "key",
                          "idle_timeout_s",
                          "shutdown_delay_s",
                          "threads",
                          "memory_limit_mb",
                          "log_level",
                          "log_format"}) {
    CAPTURE(key);
    CHECK(text.find('"' + std::string(key) + "\":") != std::string::npos);
  }
}

TEST_CASE("config: the quickstart's config is valid", "[engine]") {
  const Config config = load_config(kConf + "quickstart.json");
  CHECK_NOTHROW(check_config(config));
  CHECK(config.data_dir == std::string(kSourceDir) + "/clickmill-data");
  CHECK(config.catalog.file == kConf + "ads.ndjson");
}

TEST_CASE("config: numbers are taken up to their bounds and not beyond", "[engine]") {
  using Row = std::tuple<std::string, uint64_t, uint64_t>;
  const auto [key, lowest, highest] = GENERATE(values<Row>({
      {"log.partitions", 1, 1024},
      {"log.retention_days", 1, 3650},
      {"log.segment_bytes", 1 << 20, uint64_t{4} << 30},
      {"collector.redirect_deadline_ms", 1, 10'000},
      {"collector.max_body_bytes", 1024, 1 << 20},
      {"collector.buffer_bytes", 1 << 20, uint64_t{64} << 30},
      {"stream.dedup_hours", 1, 72},
      {"stream.window_grace_s", 0, 3600},
      {"stream.max_clock_ahead_s", 0, 3600},
      {"stream.double_click_ms", 0, 60'000},
      {"stream.checkpoint_interval_s", 1, 3600},
      {"stream.stale_after_hours", 24, 8760},
      {"query.max_points", 1, 1'000'000},
      {"idle_timeout_s", 1, 3600},
      {"shutdown_delay_s", 0, 300},
      {"threads", 0, 256},
  }));
  CAPTURE(key);
  CHECK(problems_of(nested(key, std::to_string(lowest))).empty());
  CHECK(problems_of(nested(key, std::to_string(highest))).empty());
  const auto below = std::to_string(static_cast<int64_t>(lowest) - 1);
  for (const std::string& wrong :
       {below, std::to_string(highest + 1), std::string("-1"), std::string("1.5"),
        std::string("1e30"), std::string("\"5\""), std::string("true"), std::string("null"),
        std::string("[1]"), std::string("18446744073709551616")}) {
    CAPTURE(wrong);
    CHECK(problems_of(nested(key, wrong))
              .rfind(key == "stream.dedup_hours" ? "stream." : key + ": ", 0) == 0);
  }
}

TEST_CASE("config: log.compression and log.retention_bytes arrive", "[engine]") {
  const auto [word, value] =
      GENERATE(table<std::string, log::Compression>({{"none", log::Compression::none},
                                                     {"lz4", log::Compression::lz4},
                                                     {"zstd", log::Compression::zstd}}));
  const Config config =
      parse_config(R"({"log":{"retention_bytes":123,"compression":")" + word + R"("}})", "");
  CHECK(config.log.compression == value);
  CHECK(config.log.retention_bytes == 123);
  CHECK(problems_of(R"({"log":{"compression":"gzip"}})").find("log.compression: ") == 0);
}

TEST_CASE("config: dedup_hours goes to 168 if stale_after_hours follows", "[engine]") {
  CHECK(problems_of(R"({"stream":{"dedup_hours":168,"stale_after_hours":168}})").empty());
  CHECK(problems_of(R"({"stream":{"dedup_hours":169,"stale_after_hours":200}})") ==
        "stream.dedup_hours: 169 is not a whole number from 1 to 168");
  CHECK(problems_of(R"({"stream":{"dedup_hours":100,"stale_after_hours":99}})") ==
        "stream.stale_after_hours: 99 is below stream.dedup_hours, 100");
}

TEST_CASE("config: values arrive", "[engine]") {
  const Config config = parse_config(R"({
    "node_id": "Node-1.a_b", "data_dir": "/data/x/",
    "listen": {"collector": "0.0.0.0:80", "api": "[::1]:81", "peer": "127.0.0.1:0"},
    "log": {"partitions": 3, "retention_days": 4, "segment_bytes": 5000000},
    "collector": {"durability": "written", "redirect_deadline_ms": 7,
      "default_redirect": "https://example.com/x", "trusted_proxies": ["10.0.0.0/8", "::1"],
      "country_header": "CF-IPCountry", "client_ip_header": "True-Client-IP",
      "click_id_header": "X-Request-ID",
      "cors_origins": ["https://a.example", "http://b.example:8080"],
      "max_body_bytes": 2048, "buffer_bytes": 2000000},
    "stream": {"dedup_hours": 48, "window_grace_s": 1, "max_clock_ahead_s": 2,
      "double_click_ms": 400,
      "checkpoint_interval_s": 3, "stale_after_hours": 49},
    "query": {"max_points": 9}, "catalog": {"file": ""},
    "auth": {"keys": []}, "threads": 2, "log_level": "debug", "log_format": "json"
  })",
                                     kPath);
  CHECK(config.node_id == "Node-1.a_b");
  CHECK(config.data_dir == "/data/x/");
  CHECK(config.listen.collector == "0.0.0.0:80");
  CHECK(config.listen.api == "[::1]:81");
  CHECK(config.listen.peer == "127.0.0.1:0");
  CHECK(config.log.partitions == 3);
  CHECK(config.log.retention_days == 4);
  CHECK(config.log.segment_bytes == 5'000'000);
  CHECK(config.collector.durability == Durability::written);
  CHECK(config.collector.redirect_deadline_ms == 7);
  CHECK(config.collector.default_redirect == "https://example.com/x");
  CHECK(config.collector.trusted_proxies == std::vector<std::string>{"10.0.0.0/8", "::1"});
  CHECK(config.collector.country_header == "cf-ipcountry");
  CHECK(config.collector.client_ip_header == "true-client-ip");
  CHECK(config.collector.click_id_header == "x-request-id");
  CHECK(config.collector.cors_origins ==
        std::vector<std::string>{"https://a.example", "http://b.example:8080"});
  CHECK(config.collector.max_body_bytes == 2048);
  CHECK(config.collector.buffer_bytes == 2'000'000);
  CHECK(config.stream.dedup_hours == 48);
  CHECK(config.stream.window_grace_s == 1);
  CHECK(config.stream.max_clock_ahead_s == 2);
  CHECK(config.stream.double_click_ms == 400);
  CHECK(config.stream.checkpoint_interval_s == 3);
  CHECK(config.stream.stale_after_hours == 49);
  CHECK(config.query.max_points == 9);
  CHECK(config.catalog.file.empty());
  CHECK(config.threads == 2);
  CHECK(config.log_level == LogLevel::debug);
  CHECK(config.log_format == LogFormat::json);
  CHECK(parse_config(R"({"collector":{"durability":"memory"}})", kPath).collector.durability ==
        Durability::memory);
}

TEST_CASE("config: a value that breaks its rule is named with the rule", "[engine]") {
  const auto [json, want] = GENERATE(table<std::string, std::string>({
      {R"({"node_id":""})", "node_id: not 1 to 64 letters, digits and . _ -"},
      {R"({"node_id":"a b"})", "node_id: not 1 to 64 letters, digits and . _ -"},
      {R"({"node_id":7})", "node_id: 7 is not a string"},
      {R"({"data_dir":""})", "data_dir: is empty"},
      {R"({"log":5})", "log: 5 is not an object"},
      {R"({"log":null})", "log: null is not an object"},
      {R"([])", "the document: […] is not an object"},
      {R"({"listen":{"api":"8081"}})", "listen.api: address \"8081\": expected host:port"},
      {R"({"collector":{"durability":"always"}})",
       R"(collector.durability: "always" is not one of "memory", "written", "synced", )"
       R"("replicated")"},
      {R"({"collector":{"default_redirect":"ftp://x"}})",
       "collector.default_redirect: not an http or https URL of at most 2048 bytes without blanks"},
      {R"({"collector":{"default_redirect":"https://x/\r\nSet-Cookie: a"}})",
       "collector.default_redirect: not an http or https URL of at most 2048 bytes without blanks"},
      {R"({"collector":{"trusted_proxies":"10.0.0.1"}})",
       "collector.trusted_proxies: \"10.0.0.1\" is not a list of strings"},
      {R"({"collector":{"trusted_proxies":["10.0.0.1",4]}})",
       "collector.trusted_proxies[1]: 4 is not a string"},
      {R"({"collector":{"trusted_proxies":["10.0.0.0/33"]}})",
       "collector.trusted_proxies: \"10.0.0.0/33\" is neither an IP address nor a block such as "
       "10.0.0.0/8"},
      {R"({"collector":{"country_header":"a b"}})",
       "collector.country_header: not the name of an HTTP header"},
      {R"({"collector":{"client_ip_header":"a:b"}})",
       "collector.client_ip_header: not the name of an HTTP header"},
      {R"({"collector":{"click_id_header":"ü"}})",
       "collector.click_id_header: not the name of an HTTP header"},
      {R"({"collector":{"cors_origins":["https://a.example/"]}})",
       "collector.cors_origins: \"https://a.example/\" is neither \"*\" nor an origin such as "
       "https://example.com"},
      {R"({"catalog":{"source":"http"}})",
       "catalog.url: is missing: catalog.source \"http\" needs it"},
      {R"({"catalog":{"url":"http://ads.example"}})",
       "catalog.url: only catalog.source \"http\" has one"},
      {R"({"catalog":{"source":"http","url":"ftp://ads.example"}})",
       "catalog.url: URL \"ftp://ads.example\": expected http:// or https://"},
      {R"({"catalog":{"source":"http","url":"http://ads.example/?q=1"}})",
       "catalog.url: URL \"http://ads.example/?q=1\": a query or a fragment has no place in it"},
      {R"({"catalog":{"source":"http","url":"http://ads.example","timeout_ms":0}})",
       "catalog.timeout_ms: 0 is not a whole number from 1 to 10000"},
      {R"({"catalog":{"source":"http","url":"http://ads.example","ttl_s":86401}})",
       "catalog.ttl_s: 86401 is not a whole number from 1 to 86400"},
      {R"({"log_level":"warning"})",
       R"(log_level: "warning" is not one of "debug", "info", "warn", "error")"},
      {R"({"log_format":"xml"})", R"(log_format: "xml" is not one of "text", "json")"},
      {R"({"auth":{"keys":{}}})", "auth.keys: {…} is not a list of objects"},
      {R"({"auth":{"keys":[5]}})",
       "auth.keys[0]: 5 is not an object\nauth.keys[0].name: is missing\n"
       "auth.keys[0].sha256: is missing\nauth.keys[0].role: is missing"},
  }));
  CHECK(problems_of(json) == want);
}

TEST_CASE("config: an unknown key is named with the nearest known one", "[engine]") {
  const auto [json, want] = GENERATE(table<std::string, std::string>({
      {R"({"colector":{}})", R"(unknown key "colector"; did you mean "collector"?)"},
      {R"({"log":{"partitons":1}})",
       R"(unknown key "log.partitons"; did you mean "log.partitions"?)"},
      {R"({"partitions":1})", R"(unknown key "partitions"; did you mean "log.partitions"?)"},
      {R"({"log.partitions":1})",
       R"(unknown key "log.partitions"; did you mean "log.partitions"?)"},
      {R"({"log_levle":"info"})", R"(unknown key "log_levle"; did you mean "log_level"?)"},
      {R"({"store":{"retention_days":{"minutes":1826}}})",
       R"(unknown key "store.retention_days.minutes")"
       R"(; did you mean "store.retention_days.minute"?)"},
      {R"({"tls":{"crt":""}})", R"(unknown key "tls.crt"; did you mean "tls.cert"?)"},
  }));
  CHECK(problems_of(json) == want);
  CHECK(problems_of(with_key(R"("name":"a","sha":"b","role":"admin")")) ==
        "auth.keys[0].sha256: is missing\n"
        R"(unknown key "auth.keys[0].sha"; did you mean "auth.keys[0].sha256"?)");
}

TEST_CASE("config: all problems are told together", "[engine]") {
  CHECK(problems_of(
            R"({"node_id":"","log":{"partitions":0,"x":1},"threads":-1,"memory_limit_mb":1})") ==
        "node_id: not 1 to 64 letters, digits and . _ -\n"
        "log.partitions: 0 is not a whole number from 1 to 1024\n"
        "threads: -1 is not a whole number from 0 to 256\n"
        "memory_limit_mb: not supported by this version; leave it at 0\n"
        "unknown key \"log.x\"; did you mean \"log\"?");
}

TEST_CASE("config: log.journal_bytes is 0 or at least 256 MiB", "[engine]") {
  for (const std::string right : {"0", "268435456", "1099511627776"}) {
    CHECK(parse_config(nested("log.journal_bytes", right), "").log.journal_bytes ==
          std::stoull(right));
  }
  CHECK(problems_of(nested("log.journal_bytes", "268435455")) ==
        "log.journal_bytes: 268435455 is neither 0 nor at least 268435456");
  CHECK(problems_of(nested("log.journal_bytes", "1")) ==
        "log.journal_bytes: 1 is neither 0 nor at least 268435456");
}

TEST_CASE("config: a key whose work has not come is refused by name", "[engine]") {
  const auto [key, value] = GENERATE(table<std::string, std::string>({
      {"memory_limit_mb", "512"},
  }));
  CAPTURE(key);
  const std::string problems = problems_of(nested(key, value));
  CHECK(problems.rfind(key + ": not supported by this version; leave it ", 0) == 0);
  CHECK(problems.find('\n') == std::string::npos);
}

TEST_CASE("config: ads may come from a configuration service", "[engine]") {
  const Config config =
      parse_config(R"({"catalog":{"source":"http","url":"https://ads.example/v2/ads",)"
                   R"("timeout_ms":100,"ttl_s":5}})",
                   "/no/such/folder/c.json");
  CHECK(config.catalog.source == "http");
  CHECK(config.catalog.url == "https://ads.example/v2/ads");
  CHECK(config.catalog.timeout_ms == 100);
  CHECK(config.catalog.ttl_s == 5);
}

TEST_CASE("config: keys are read and their digests lower-cased", "[engine]") {
  const Config config = parse_config(
      R"({"auth":{"keys":[
        {"name":"ops","sha256":")" +
          std::string(64, 'A') + R"(","role":"admin"},
        {"name":"app","sha256":")" +
          std::string(64, '1') + R"(","role":"ingest"},
        {"name":"adv 17 dashboard","sha256":")" +
          std::string(64, '2') + R"(","role":"advertiser","advertiser_id":"adv_17"}]}})",
      kPath);
  REQUIRE(config.keys.size() == 3);
  CHECK(config.keys[0].name == "ops");
  CHECK(config.keys[0].sha256_hex == std::string(64, 'a'));
  CHECK(config.keys[0].role == http::Role::admin);
  CHECK(config.keys[1].role == http::Role::ingest);
  CHECK(config.keys[2].role == http::Role::advertiser);
  CHECK(config.keys[2].advertiser_id == "adv_17");
}

TEST_CASE("config: a wrong key is refused with the rule", "[engine]") {
  const std::string digest = "\"sha256\":\"" + kDigest + "\"";
  const auto check = [](const std::string& fields, const std::string& want) {
    CHECK(problems_of(with_key(fields)) == "auth.keys[0]" + want);
  };
  check(R"("name":"",)" + digest + R"(,"role":"admin")",
        ".name: not 1 to 128 bytes without control characters");
  check(R"("name":"a","sha256":"abc","role":"admin")", ".sha256: not 64 hex digits");
  check(R"("name":"a",)" + digest, ".role: is missing");
  check(R"("name":"a",)" + digest + R"(,"role":"root")",
        R"(.role: "root" is not one of "advertiser", "ingest", "admin")");
  check(R"("name":"a",)" + digest + R"(,"role":"advertiser")",
        ".advertiser_id: is missing: role \"advertiser\" needs it");
  check(R"("name":"a",)" + digest + R"(,"role":"ingest","advertiser_id":"adv_1")",
        ".advertiser_id: only a key of role \"advertiser\" has one");
  check(R"("name":"a",)" + digest + R"(,"role":"advertiser","advertiser_id":"a b")",
        ".advertiser_id: not 1 to 64 letters, digits and . _ : -");
  // The same digest in the other case is the same key.
  const std::string upper(64, 'A');
  CHECK(problems_of(R"({"auth":{"keys":[{"name":"a","role":"admin",)" + digest +
                    R"(},{"name":"b","role":"admin","sha256":")" + upper + "\"}]}}") ==
        "auth.keys[1].sha256: an earlier key has the same");
}

TEST_CASE("config: addresses and blocks of proxies", "[engine]") {
  const auto [text, valid] = GENERATE(table<std::string, bool>({
      {"10.0.0.1", true},
      {"10.0.0.0/0", true},
      {"10.0.0.0/32", true},
      {"10.0.0.0/33", false},
      {"::1", true},
      {"fe80::/10", true},
      {"::/128", true},
      {"::/129", false},
      {"10.0.0", false},
      {"localhost", false},
      {"10.0.0.0/", false},
      {"10.0.0.0/-1", false},
      {"10.0.0.0/8x", false},
      {"", false},
      {"/8", false},
      {"[::1]", false},
      {"10.0.0.1\\u0000x", false},
  }));
  CAPTURE(text);
  CHECK(problems_of(R"({"collector":{"trusted_proxies":[")" + text + "\"]}}").empty() == valid);
}

TEST_CASE("config: the PROXY protocol needs somebody who is believed", "[engine]") {
  const std::string proxies = R"("trusted_proxies":["10.0.0.1"])";
  const auto with = [](const std::string& keys) { return "{\"collector\":{" + keys + "}}"; };
  CHECK(parse_config(with(R"("proxy_protocol":"on",)" + proxies), kPath).collector.proxy_protocol);
  CHECK_FALSE(parse_config(with(R"("proxy_protocol":"off")"), kPath).collector.proxy_protocol);
  CHECK_THAT(problems_of(with(R"("proxy_protocol":"on")")),
             Catch::StartsWith("collector.proxy_protocol: \"on\" needs"));
  CHECK_THAT(problems_of(with(R"("proxy_protocol":true)")),
             Catch::StartsWith("collector.proxy_protocol: true is not one of"));
}

TEST_CASE("config: files of TLS and countries stand beside the config", "[engine]") {
  const Config config = parse_config(
      R"({"tls":{"cert":"c.pem","key":"/k.pem"},"collector":{"country_db":"x.mmdb"}})", kPath);
  CHECK(config.tls.cert == "/no/such/folder/c.pem");
  CHECK(config.tls.key == "/k.pem");
  CHECK(config.collector.country_db == "/no/such/folder/x.mmdb");
  CHECK(problems_of(R"({"tls":{"cert":"c.pem"}})") == "tls.key: is missing: one needs the other");
  CHECK(problems_of(R"({"tls":{"key":"k.pem"}})") == "tls.cert: is missing: one needs the other");
}

TEST_CASE("config: a rate limit is off, or a rate with a burst", "[engine]") {
  const auto [json, rate, burst] = GENERATE(table<std::string, uint32_t, uint32_t>({
      {"{}", 0, 0},
      {R"({"clicks_per_s":20})", 20, 40},
      {R"({"clicks_per_s":20,"burst":1})", 20, 1},
      {R"({"clicks_per_s":1000000})", 1'000'000, 1'000'000},
  }));
  const auto rule = parse_config(nested("collector.rate_limit", json), kPath).collector.rate_limit;
  CHECK(rule.clicks_per_s == rate);
  CHECK(rule.burst == burst);
  CHECK(problems_of(nested("collector.rate_limit", R"({"burst":5})")) ==
        "collector.rate_limit.clicks_per_s: is missing: collector.rate_limit.burst needs it");
  CHECK_THAT(problems_of(nested("collector.rate_limit", R"({"clicks_per_s":0})")),
             Catch::Contains("a whole number from 1 to 1000000"));
  CHECK_THAT(problems_of(nested("collector.rate_limit", R"({"click_per_s":1})")),
             Catch::Contains("clicks_per_s"));
}

TEST_CASE("config: a syntax error tells file and place", "[engine]") {
  const std::string problem = problems_of("{\n  \"log\": }");
  CHECK(problem.rfind(kPath + ": parse error at line 2, column 10", 0) == 0);
  CHECK_FALSE(problems_of("").empty());
  CHECK_FALSE(problems_of("{\"node_id\":\"\xff\"}").empty());
  CHECK(problems_of("// comment\n{ /* another */ }").empty());
}

TEST_CASE("config: a file that can't be read is an error", "[engine]") {
  CHECK_THROWS_WITH(load_config(kPath), kPath + ": cannot be read");
  CHECK_THROWS_AS(load_config(kConf), ConfigError);
}

TEST_CASE("config: deep nesting and long keys are refused like others", "[engine]") {
  const std::string deep = std::string(50'000, '[') + std::string(50'000, ']');
  CHECK(problems_of(nested("node_id", deep)) == "node_id: […] is not a string");
  CHECK(problems_of(nested("auth.keys", deep)).rfind("auth.keys[0]: […] is not an object", 0) == 0);
  CHECK(problems_of("{\"" + std::string(100'000, 'x') + "\":1}").rfind("unknown key", 0) == 0);
}

TEST_CASE("config: an api on a public address needs keys", "[engine]") {
  const std::string open = check_problem(R"({"listen":{"api":"0.0.0.0:8081"}})");
  CHECK(open.rfind("listen.api: 0.0.0.0:8081 is not a loopback address and auth.keys is empty",
                   0) == 0);
  CHECK(check_problem(R"({"listen":{"api":"0.0.0.0:8081"},"auth":{"keys":[
        {"name":"a","role":"admin","sha256":")" +
                      kDigest + "\"}]}}")
            .empty());
  CHECK(check_problem(R"({"listen":{"api":"[::1]:8081","collector":"0.0.0.0:8080"}})").empty());
}

TEST_CASE("config: collector and api can't share a port", "[engine]") {
  CHECK(check_problem(R"({"listen":{"api":"127.0.0.1:8080"}})") ==
        "listen.api: 127.0.0.1:8080 is listen.collector too; each needs a port of its own");
  CHECK(check_problem(R"({"listen":{"api":"127.0.0.1:0","collector":"127.0.0.1:0"}})").empty());
}

}  // namespace clickmill::engine
