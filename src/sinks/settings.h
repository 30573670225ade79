#pragma once

#include <string>
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

}  // namespace clickmill::sinks
