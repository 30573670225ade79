#pragma once

#include <string>
#include <vector>

#include "tools/print.h"

namespace clickmill::tools {

/// `clickmill cluster …`: what is to be known of a cluster, and done about its nodes. `arguments`:
/// behind "cluster". The exit code.
int cluster_command(const std::vector<std::string>& arguments, const Print& print,
                    const Print& tell);

}  // namespace clickmill::tools
