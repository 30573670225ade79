#pragma once

// tools/ is what an operator runs beside the node: look at the log (log_commands.h), count
// it again (recount_command.h), get a damaged journal going (recover.h). A running node
// never enters this folder; main.cpp does.
// All but `recover` and `retention` change nothing on disk: they read a stopped node's data
// directory under its lock, through an overlay in memory (offline_log.h, offline_node.h).
// Promise: exit code 0 fine, 1 something was found, 2 could not run, and every finding
// names file and byte. Thread: one, the command's. Begin with OfflineLog.

#include <string>
#include <vector>

namespace clickmill::tools {

/// `clickmill log dump|verify …` and `clickmill retention --now …`. Throw
/// ConfigError for wrong arguments; give the exit code: 0 fine, 1 damage found,
/// 2 could not run.
int log_command(const std::vector<std::string>& arguments);
int retention_command(const std::vector<std::string>& arguments);

}  // namespace clickmill::tools
