#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace clickmill {

/// What a node is started with. `json` may say all that a config file may
/// (conf/clickmill.json lists every key); a member that is given stands over what it says.
struct Config {
  std::string json = "{}";  ///< comments are allowed; `{}` is every default
  /// Where relative paths start, and what messages name; empty: the current directory.
  std::string path;
  /// False: the node opens no port at all. Addresses are not looked at then, no key is needed,
  /// and a `cluster` is refused.
  bool listeners = true;

  std::optional<std::string> data_dir;
  std::optional<std::string> node_id;
  std::optional<std::string> collector;  ///< address, as "127.0.0.1:8080"; port 0: a free one
  std::optional<std::string> api;
  std::optional<std::uint32_t> partitions;
  std::optional<std::string> durability;  ///< memory, written, synced; in a cluster replicated
  std::optional<std::string> default_redirect;
  std::optional<std::string> catalog_file;
  std::optional<std::uint32_t> threads;
};

}  // namespace clickmill
