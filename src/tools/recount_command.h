#pragma once

#include <string>
#include <vector>

#include "tools/print.h"

namespace clickmill::tools {

/// `clickmill recount …`: arguments behind the command's name. Answers the exit
/// code: 0 stored and recounted agree, 1 they differ (repaired or not), 2 could not
/// run. `print` takes the differences, a line each; `tell` progress and everything else.
int recount_command(const std::vector<std::string>& arguments, const Print& print,
                    const Print& tell);

}  // namespace clickmill::tools
