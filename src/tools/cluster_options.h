#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/config.h"

namespace clickmill::tools {

/// Options of the commands about a cluster.
struct ClusterOptions {
  std::optional<engine::Config> config;  ///< of --config
  std::string node;                      ///< URL of --node
  std::string from;                      ///< URL of --from
  std::string key_file;
  bool json = false;
  bool yes = false;
  std::vector<std::string> names;  ///< what stands there without a dash

  /// What a command knows besides --config.
  struct Takes {
    bool node = false;  ///< --node, in place of --config
    bool from = false;
    bool key = false;  ///< --key-file
    bool json = false;
    bool yes = false;
    size_t names = 0;
  };
};

/// Errc::invalid says what is wrong. Throws ConfigError for a config that can't be used.
Result<ClusterOptions> read_cluster_options(const std::vector<std::string>& arguments,
                                            const ClusterOptions::Takes& takes);

}  // namespace clickmill::tools
