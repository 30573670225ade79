#pragma once

#include <string>
#include <vector>

#include "tools/print.h"

namespace clickmill::tools {

/// `clickmill backup DIR …`, `clickmill backup verify DIR` and `clickmill restore DIR …`, with
/// what stands behind the first word. `print`: what was done or found; `tell`: progress and
/// errors. Give the exit code: 0 fine, 1 damage found, 2 could not run. Throw ConfigError as
/// load_config does.
int backup_command(const std::vector<std::string>& arguments, const Print& print,
                   const Print& tell);
int restore_command(const std::vector<std::string>& arguments, const Print& print,
                    const Print& tell);

}  // namespace clickmill::tools
