#include "tools/cluster_options.h"

#include <fmt/format.h>

namespace clickmill::tools {
namespace {

bool takes_value(const std::string& word, const ClusterOptions::Takes& takes) {
  return word == "--config" || (takes.node && word == "--node") ||
         (takes.from && word == "--from") || (takes.key && word == "--key-file");
}

}  // namespace

Result<ClusterOptions> read_cluster_options(const std::vector<std::string>& arguments,
                                            const ClusterOptions::Takes& takes) {
  ClusterOptions options;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (word.empty() || word[0] != '-') {
      options.names.push_back(word);
    } else if (word == "--json" && takes.json) {
      options.json = true;
    } else if (word == "--yes" && takes.yes) {
      options.yes = true;
    } else if (!takes_value(word, takes)) {
      return Error(Errc::invalid, "unknown option " + word);
    } else if (i + 1 == arguments.size()) {
      return Error(Errc::invalid, word + " needs a value");
    } else if (word == "--config") {
      options.config = engine::load_config(arguments[++i]);
    } else if (word == "--node") {
      options.node = arguments[++i];
    } else if (word == "--from") {
      options.from = arguments[++i];
    } else {
      options.key_file = arguments[++i];
    }
  }
  if (!options.config && options.node.empty()) {
    return Error(Errc::invalid,
                 takes.node ? "--config or --node is missing" : "--config is missing");
  }
  if (options.config && !options.node.empty())
    return Error(Errc::invalid, "--config and --node at once");
  if (options.names.size() != takes.names) {
    return Error(Errc::invalid, takes.names == 0
                                    ? fmt::format("{} is no option", options.names.front())
                                    : fmt::format("{} names are needed", takes.names));
  }
  return options;
}

}  // namespace clickmill::tools
