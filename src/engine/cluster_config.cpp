#include "engine/cluster_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>

#include "base/feature_level.h"
#include "base/result.h"
#include "base/text.h"
#include "engine/config_error.h"
#include "engine/config_reader.h"
#include "http/server.h"

namespace clickmill::engine {
namespace {

constexpr size_t kPeersMost = 64;
constexpr uint32_t kReplicationMost = 7;
// 128 bits if every byte were random; what people type is less.
constexpr size_t kSecretLeast = 16;
constexpr size_t kSecretMost = 4096;

bool is_every_interface(const std::string& host) { return host == "0.0.0.0" || host == "::"; }

/// An address that another node can connect to.
void read_peer_address(ConfigReader& in, const std::string& path, std::string& out) {
  if (!in.has(path)) in.problem(path, "is missing");
  if (!in.text(path, out)) return;
  const auto parsed = http::parse_host_port(out);
  if (!parsed) {
    in.problem(path, parsed.error().message());
  } else if (parsed->port == 0) {
    in.problem(path, fmt::format("address \"{}\": port 0 is none to connect to", out));
  } else if (is_every_interface(parsed->host)) {
    in.problem(path, fmt::format("address \"{}\" is none to connect to: it means every interface "
                                 "of one's own",
                                 out));
  }
}

/// All values of one field of the peers; each may stand once.
class Once {
 public:
  void take(ConfigReader& in, const std::string& path, const std::string& value) {
    if (!value.empty() && !seen_.insert(value).second)
      in.problem(path, fmt::format("\"{}\" is another peer's too", value));
  }
  bool has(const std::string& value) const { return seen_.count(value) > 0; }

 private:
  std::set<std::string> seen_;
};

void read_peers(ConfigReader& in, const std::string& own_node_id,
                std::vector<ClusterConfig::Peer>& out) {
  const size_t count = in.objects("cluster.peers");
  if (count > kPeersMost) {
    in.problem("cluster.peers",
               fmt::format("{} nodes, at most {} are possible", count, kPeersMost));
    return;
  }
  Once names;
  Once peers;
  Once apis;
  for (size_t i = 0; i < count; ++i) {
    const std::string path = fmt::format("cluster.peers[{}]", i);
    ClusterConfig::Peer& peer = out.emplace_back();
    const std::string name = path + ".node_id";
    if (!in.has(name)) in.problem(name, "is missing");
    if (in.text(name, peer.node_id) && !is_node_id(peer.node_id))
      in.problem(name, "not 1 to 64 letters, digits and . _ -");
    names.take(in, name, peer.node_id);
    read_peer_address(in, path + ".peer", peer.peer);
    peers.take(in, path + ".peer", peer.peer);
    read_peer_address(in, path + ".api", peer.api);
    apis.take(in, path + ".api", peer.api);
    if (!peer.peer.empty() && peer.peer == peer.api)
      in.problem(path + ".api", fmt::format("\"{}\" is its peer address too", peer.api));
  }
  if (out.empty()) {
    in.problem("cluster.peers",
               "names no node; it lists every node of the cluster, this one included");
  } else if (!names.has(own_node_id)) {
    in.problem("cluster.peers", fmt::format("this node, node_id \"{}\", is not among them; it "
                                            "lists every node of the cluster",
                                            own_node_id));
  }
}

void read_replication(ConfigReader& in, size_t nodes, uint32_t& out) {
  const std::string_view key = "cluster.replication";
  if (!in.number(key, out, 1, kReplicationMost)) return;
  if (out % 2 == 0) {
    in.problem(key, fmt::format("{} is even: it survives no more failures than {} and needs more "
                                "nodes",
                                out, out - 1));
  } else if (nodes > 0 && out > nodes) {
    in.problem(key, fmt::format("{} copies of each partition, but cluster.peers names {} node{}",
                                out, nodes, nodes == 1 ? "" : "s"));
  }
}

void read_path(ConfigReader& in, const std::string& key, const std::filesystem::path& folder,
               std::string& out) {
  if (in.text(key, out) && !out.empty()) out = (folder / out).lexically_normal().string();
}

void read_tls(ConfigReader& in, const std::string& folder, ClusterConfig::Tls& out) {
  read_path(in, "cluster.tls.cert", folder, out.cert);
  read_path(in, "cluster.tls.key", folder, out.key);
  read_path(in, "cluster.tls.ca", folder, out.ca);
  if (out.cert.empty() && out.key.empty() && out.ca.empty()) return;
  const auto require = [&in](const char* key, const std::string& value) {
    if (value.empty()) in.problem(key, "is missing: cluster.tls needs cert, key and ca, or none");
  };
  require("cluster.tls.cert", out.cert);
  require("cluster.tls.key", out.key);
  require("cluster.tls.ca", out.ca);
}

/// At most `most` bytes of a file; throws ConfigError.
std::string read_file_of(const char* key, const std::string& path, size_t most) {
  const auto fail = [&](const std::string& why) {
    throw ConfigError(fmt::format("{}: {}: {}", key, path, why));
  };
  std::error_code failure;
  // A pipe would make the start wait for whoever writes into it.
  const bool regular = std::filesystem::is_regular_file(path, failure);
  if (failure) fail("cannot be read: " + failure.message());
  if (!regular) fail("is not a file");
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file.is_open()) fail(std::string("cannot be read: ") + std::strerror(errno));
  std::string bytes(most, '\0');
  file.read(bytes.data(), static_cast<std::streamsize>(most));
  if (file.bad()) fail("cannot be read");
  bytes.resize(static_cast<size_t>(file.gcount()));
  return bytes;
}

std::string trimmed(const std::string& text) {
  constexpr const char* kBlank = " \t\r\n\v\f";
  const size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) + 1 - begin);
}

}  // namespace

bool is_node_id(std::string_view text) { return consists_of(text, 64, "._-"); }

uint32_t ClusterConfig::replicas() const {
  return std::min(replication, static_cast<uint32_t>(peers.size()));
}

std::optional<ClusterConfig> read_cluster(ConfigReader& in, const std::string& folder,
                                          const std::string& own_node_id) {
  if (!in.has("cluster")) return std::nullopt;
  ClusterConfig cluster;
  read_peers(in, own_node_id, cluster.peers);
  read_replication(in, cluster.peers.size(), cluster.replication);
  // A higher one would hold nothing.
  in.number("cluster.hold_feature_level", cluster.hold_feature_level, 0, kFeatureLevels.highest);
  read_path(in, "cluster.secret_file", folder, cluster.secret_file);
  if (cluster.secret_file.empty()) {
    in.problem("cluster.secret_file",
               "is missing: without a secret anybody who reaches the peer port could join");
  }
  read_tls(in, folder, cluster.tls);
  return cluster;
}

std::string read_secret(const ClusterConfig& cluster) {
  constexpr const char* kKey = "cluster.secret_file";
  const std::string bytes = read_file_of(kKey, cluster.secret_file, kSecretMost + 1);
  if (bytes.size() > kSecretMost) {
    throw ConfigError(
        fmt::format("{}: {}: is longer than {} bytes", kKey, cluster.secret_file, kSecretMost));
  }
  std::string secret = trimmed(bytes);
  if (secret.size() < kSecretLeast) {
    throw ConfigError(
        fmt::format("{}: {}: holds {} bytes without the blanks around them, {} are "
                    "the least (head -c 24 /dev/urandom | base64 makes some)",
                    kKey, cluster.secret_file, secret.size(), kSecretLeast));
  }
  return secret;
}

void check_cluster_files(const ClusterConfig& cluster) {
  ignore(read_secret(cluster), "only whether it throws matters");
  const auto check = [](const char* key, const std::string& path) {
    if (!path.empty()) ignore(read_file_of(key, path, 1), "likewise");
  };
  check("cluster.tls.cert", cluster.tls.cert);
  check("cluster.tls.key", cluster.tls.key);
  check("cluster.tls.ca", cluster.tls.ca);
}

}  // namespace clickmill::engine
