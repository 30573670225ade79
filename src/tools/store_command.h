#pragma once

#include <string>
#include <vector>

#include "tools/print.h"

namespace clickmill::tools {

/// `clickmill store dump|verify …`: the part files of a stopped node, read as they stand there.
/// Throws ConfigError for wrong arguments; gives the exit code: 0 fine, 1 damage found, 2 could
/// not run. `print`: what was asked for; `complain`: what went wrong.
int store_command(const std::vector<std::string>& arguments, const Print& print,
                  const Print& complain);

}  // namespace clickmill::tools
