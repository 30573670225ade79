#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace clickmill::sinks {

/// One entry of the config's `sinks`: recorded clicks to a topic of a Kafka cluster.
struct KafkaSettings {
  std::string name = "kafka";  ///< in metrics and messages; its positions are kept under it
  std::string brokers;         ///< host:port, comma-separated
  std::string topic;
  std::vector<std::string> options;  ///< more properties of librdkafka, "key=value"
  std::string options_file;          ///< absolute; the same, one a line, for secrets; empty: none
  friend bool operator==(const KafkaSettings&, const KafkaSettings&) = default;
};

/// Minute rows to a table of ClickHouse, over HTTP.
struct ClickHouseSettings {
  std::string name = "clickhouse";  ///< as above
  std::string url;                  ///< http:// or https://
  std::string database = "default";
  std::string table = "click_minutes";
  std::string user;           ///< empty: the server's default one
  std::string password_file;  ///< absolute; read again after a failure; empty: no password
  std::string ca_file;        ///< absolute; of an https server; empty: the system's authorities
  std::vector<std::string> options;  ///< more settings of an insert, "name=value"
  uint32_t timeout_ms = 30'000;      ///< of one insert
  friend bool operator==(const ClickHouseSettings&, const ClickHouseSettings&) = default;
};

using Settings = std::variant<KafkaSettings, ClickHouseSettings>;

}  // namespace clickmill::sinks
