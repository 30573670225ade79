#pragma once

#include <memory>

#include "sinks/broker.h"
#include "sinks/settings.h"

namespace clickmill::sinks {

/// Loads librdkafka and tries the settings on it, without a connection. Errors name the key
/// below `key` ("sinks[0]").
Status check_kafka(const KafkaSettings& settings, const std::string& key);
/// Whether a property is set by the sink alone: another value would lose or double clicks.
bool is_own_property(std::string_view name);
/// An idempotent producer that waits for all in-sync replicas and gives nothing up: a cluster
/// that is away is waited for. Its threads end with it.
Result<std::unique_ptr<Broker>> open_kafka(const KafkaSettings& settings);

}  // namespace clickmill::sinks
