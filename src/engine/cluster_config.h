#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace clickmill::engine {

class ConfigReader;

/// 1 to 64 letters, digits and . _ -
bool is_node_id(std::string_view text);

/// Section `cluster` of the config.
struct ClusterConfig {
  struct Peer {
    std::string node_id;
    std::string peer;  ///< where the others reach it, host:port
    std::string api;
    friend bool operator==(const Peer&, const Peer&) = default;
  };
  std::vector<Peer> peers;  ///< every node, this one included
  uint32_t replication = 3;
  /// The cluster's feature level rises no further while this node is in; 0: as far as it can.
  uint16_t hold_feature_level = 0;
  std::string secret_file;  ///< absolute
  struct Tls {
    // Absolute; all three or none.
    std::string cert;
    std::string key;
    std::string ca;
    friend bool operator==(const Tls&, const Tls&) = default;
  } tls;

  /// How many nodes hold each partition.
  uint32_t replicas() const;
  friend bool operator==(const ClusterConfig&, const ClusterConfig&) = default;
};

/// Reads and checks the section; `folder` is where relative paths start. Nothing when there
/// is none. The files it names are not opened.
std::optional<ClusterConfig> read_cluster(ConfigReader& in, const std::string& folder,
                                          const std::string& own_node_id);

/// The secret that proves a node to the others, without the blanks around it. Throws
/// ConfigError: it can't be read, or is too short to be one.
std::string read_secret(const ClusterConfig& cluster);
/// Opens every file that the section names. Throws ConfigError naming the key.
void check_cluster_files(const ClusterConfig& cluster);

}  // namespace clickmill::engine
