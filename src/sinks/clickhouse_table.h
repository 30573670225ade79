#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "sinks/settings.h"
#include "sinks/table.h"

namespace clickmill::sinks {

/// Reads the files that the settings name. Errors name the key below `key` ("sinks[0]").
Status check_clickhouse(const ClickHouseSettings& settings, const std::string& key);
/// Whether a parameter of the insert's URL is set by the sink alone.
bool is_own_parameter(std::string_view name);
/// Connects when rows come, and anew, with the password read again, after each failure.
std::unique_ptr<Table> open_clickhouse(const ClickHouseSettings& settings);

}  // namespace clickmill::sinks
