#pragma once

#include <string>
#include <vector>

#include "sinks/settings.h"

namespace clickmill::engine {

class ConfigReader;

/// Reads and checks the list `sinks`; `folder` is where relative paths start. What librdkafka
/// has to say of its properties, and what is wrong with files, comes at the start
/// (sinks::check_settings).
std::vector<sinks::Settings> read_sinks(ConfigReader& in, const std::string& folder);

}  // namespace clickmill::engine
