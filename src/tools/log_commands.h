#pragma once

#include <string>
#include <vector>

namespace clickmill::tools {

/// `clickmill log dump|verify …` and `clickmill retention --now …`. Throw
/// ConfigError for wrong arguments; give the exit code: 0 fine, 1 damage found,
/// 2 could not run.
int log_command(const std::vector<std::string>& arguments);
int retention_command(const std::vector<std::string>& arguments);

}  // namespace clickmill::tools
