#include "engine/cluster_config.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "base/temporary_directory.h"
#include "engine/config.h"

namespace clickmill::engine {
namespace {

const std::string kPath = "/no/such/folder/clickmill.json";
const std::string kSecret = R"("secret_file":"secret")";
const std::string kThree = R"(
  {"node_id":"n1","peer":"10.0.0.1:8082","api":"10.0.0.1:8081"},
  {"node_id":"n2","peer":"db-2.internal:8082","api":"db-2.internal:8081"},
  {"node_id":"n3","peer":"[fd00::3]:8082","api":"[fd00::3]:8081"})";

std::string with_cluster(const std::string& fields, const std::string& others = "") {
  return R"({"cluster":{)" + fields + "}" + others + "}";
}
std::string with_peers(const std::string& peers) {
  return with_cluster(R"("peers":[)" + peers + "]," + kSecret);
}
std::string peer(const std::string& node, const std::string& fields) {
  return R"({"node_id":")" + node + "\"," + fields + "}";
}

std::string problems_of(const std::string& json) {
  try {
    check_config(parse_config(json, kPath));
    return "";
  } catch (const ConfigError& error) {
    return error.what();
  }
}

template <typename Do>
std::string thrown_by(Do call) {
  try {
    ignore(call(), "only what it throws matters");
    return "";
  } catch (const ConfigError& error) {
    return error.what();
  }
}

}  // namespace

TEST_CASE("config: a cluster arrives", "[engine]") {
  CHECK_FALSE(parse_config("{}", kPath).cluster);
  const Config config = parse_config(
      with_cluster(R"("peers":[)" + kThree + R"(],"replication":1,"secret_file":"/etc/secret",
                   "tls":{"cert":"tls/cert.pem","key":"/x/key.pem","ca":"ca.pem"})",
                   R"(,"node_id":"n2","collector":{"durability":"replicated"})"),
      kPath);
  REQUIRE(config.cluster);
  const ClusterConfig& cluster = *config.cluster;
  CHECK(cluster.peers ==
        std::vector<ClusterConfig::Peer>{{"n1", "10.0.0.1:8082", "10.0.0.1:8081"},
                                         {"n2", "db-2.internal:8082", "db-2.internal:8081"},
                                         {"n3", "[fd00::3]:8082", "[fd00::3]:8081"}});
  CHECK(cluster.replication == 1);
  CHECK(cluster.replicas() == 1);
  CHECK(cluster.secret_file == "/etc/secret");
  CHECK(cluster.tls.cert == "/no/such/folder/tls/cert.pem");
  CHECK(cluster.tls.key == "/x/key.pem");
  CHECK(cluster.tls.ca == "/no/such/folder/ca.pem");
  CHECK(config.collector.durability == Durability::replicated);
  CHECK_NOTHROW(check_config(config));
}

TEST_CASE("config: a level to hold is one that this version runs", "[engine]") {
  const auto with_hold = [](const std::string& level) {
    return with_cluster(R"("peers":[)" + kThree + R"(],"hold_feature_level":)" + level +
                        R"(,"secret_file":"/etc/secret")");
  };
  CHECK(parse_config(with_peers(kThree), kPath).cluster->hold_feature_level == 0);
  CHECK(parse_config(with_hold("0"), kPath).cluster->hold_feature_level == 0);
  CHECK(parse_config(with_hold("2"), kPath).cluster->hold_feature_level == 2);
  for (const char* wrong : {"3", "-1", "1.5", "\"2\""}) {
    CHECK(problems_of(with_hold(wrong)) == std::string("cluster.hold_feature_level: ") + wrong +
                                               " is not a whole number from 0 to 2");
  }
}

TEST_CASE("config: a cluster of any number of nodes is one", "[engine]") {
  std::string peers;
  for (int i = 1; i <= 64; ++i) {
    const std::string host = "host-" + std::to_string(i);
    peers += (i > 1 ? "," : "") + peer("n" + std::to_string(i),
                                       R"("peer":")" + host + R"(:1","api":")" + host + R"(:2")");
    CHECK(problems_of(with_peers(peers)) == "");
  }
  const Config config = parse_config(with_peers(peers), kPath);
  CHECK(config.cluster->replication == 3);
  CHECK(config.cluster->replicas() == 3);
  CHECK(problems_of(with_peers(peers + "," + peer("m", R"("peer":"m:1","api":"m:2")"))) ==
        "cluster.peers: 65 nodes, at most 64 are possible");
}

TEST_CASE("config: what is wrong in a cluster is named", "[engine]") {
  const std::string good = peer("n1", R"("peer":"a:1","api":"a:2")");
  const auto [json, want] = GENERATE_COPY(table<std::string, std::string>({
      {R"({"cluster":{}})",
       "cluster.peers: names no node; it lists every node of the cluster, this one included\n"
       "cluster.secret_file: is missing: without a secret anybody who reaches the peer port could "
       "join"},
      {with_peers(""),
       "cluster.peers: names no node; it lists every node of the cluster, this one included"},
      {with_peers(peer("n2", R"("peer":"a:1","api":"a:2")")),
       "cluster.peers: this node, node_id \"n1\", is not among them; it lists every node of the "
       "cluster"},
      {with_peers(good + "," + peer("n1", R"("peer":"b:1","api":"b:2")")),
       "cluster.peers[1].node_id: \"n1\" is another peer's too"},
      {with_peers(good + "," + peer("n2", R"("peer":"a:1","api":"b:2")")),
       "cluster.peers[1].peer: \"a:1\" is another peer's too"},
      {with_peers(good + "," + peer("n2", R"("peer":"b:1","api":"a:2")")),
       "cluster.peers[1].api: \"a:2\" is another peer's too"},
      {with_peers(good + "," + peer("n 2", R"("peer":"b:1","api":"b:2")")),
       "cluster.peers[1].node_id: not 1 to 64 letters, digits and . _ -"},
      {with_peers(good + "," + peer("n2", R"("peer":"b:1")")), "cluster.peers[1].api: is missing"},
      {with_peers(good + "," + peer("n2", R"("peer":"b","api":"b:2")")),
       "cluster.peers[1].peer: address \"b\": expected host:port"},
      {with_peers(good + "," + peer("n2", R"("peer":"b:0","api":"b:2")")),
       "cluster.peers[1].peer: address \"b:0\": port 0 is none to connect to"},
      {with_peers(good + "," + peer("n2", R"("peer":"0.0.0.0:1","api":"b:2")")),
       "cluster.peers[1].peer: address \"0.0.0.0:1\" is none to connect to: it means every "
       "interface of one's own"},
      {with_peers(good + "," + peer("n2", R"("peer":"b:1","api":"b:1")")),
       "cluster.peers[1].api: \"b:1\" is its peer address too"},
      {with_cluster(R"("peers":[)" + good + R"(],"replication":2,)" + kSecret),
       "cluster.replication: 2 is even: it survives no more failures than 1 and needs more nodes"},
      {with_cluster(R"("peers":[)" + good + R"(],"replication":3,)" + kSecret),
       "cluster.replication: 3 copies of each partition, but cluster.peers names 1 node"},
      {with_cluster(R"("peers":[)" + good + R"(],"replication":9,)" + kSecret),
       "cluster.replication: 9 is not a whole number from 1 to 7"},
      {with_cluster(R"("peers":[)" + good + R"(],"replication":0,)" + kSecret),
       "cluster.replication: 0 is not a whole number from 1 to 7"},
      {with_cluster(R"("peers":[)" + good + R"(],"secret_file":"")"),
       "cluster.secret_file: is missing: without a secret anybody who reaches the peer port could "
       "join"},
      {with_cluster(R"("peers":[)" + good + R"(],"tls":{"cert":"c","key":"k"},)" + kSecret),
       "cluster.tls.ca: is missing: cluster.tls needs cert, key and ca, or none"},
      {with_cluster(R"("peers":[)" + good + R"(],"secret_fil":"x",)" + kSecret),
       R"(unknown key "cluster.secret_fil"; did you mean "cluster.secret_file"?)"},
      {with_peers(good.substr(0, good.size() - 1) + R"(,"apis":1})"),
       R"(unknown key "cluster.peers[0].apis"; did you mean "cluster.peers[0].api"?)"},
      {R"({"collector":{"durability":"replicated"}})",
       "collector.durability: \"replicated\" waits for other nodes, and there is no cluster"},
  }));
  CHECK(problems_of(json) == want);
}

TEST_CASE("config: the peer port is no other listener's, and may differ from the own entry",
          "[engine]") {
  const auto listening = [](const std::string& address) {
    return problems_of(with_cluster(R"("peers":[)" + kThree + "]," + kSecret,
                                    R"(,"listen":{"peer":")" + address + "\"}"));
  };
  CHECK(listening("0.0.0.0:9000") == "");
  CHECK(listening("127.0.0.1:0") == "");
  CHECK(listening("127.0.0.1:8080") ==
        "listen.peer: 127.0.0.1:8080 is listen.collector too; each needs a port of its own");
  CHECK(listening("127.0.0.1:8081") ==
        "listen.peer: 127.0.0.1:8081 is listen.api too; each needs a port of its own");
  // Alone nothing listens there.
  CHECK(problems_of(R"({"listen":{"peer":"127.0.0.1:8080"}})") == "");
}

TEST_CASE("config: a secret is at least 16 bytes without the blanks around it", "[engine]") {
  const TemporaryDirectory directory;
  ClusterConfig cluster;
  cluster.secret_file = directory.path() + "/secret";
  const auto secret_of = [&](const std::string& bytes) {
    std::ofstream(cluster.secret_file, std::ios::binary) << bytes;
    return thrown_by([&] { return read_secret(cluster); });
  };
  const std::string where = "cluster.secret_file: " + cluster.secret_file + ": ";
  CHECK(thrown_by([&] { return read_secret(cluster); }) ==
        where + "cannot be read: No such file or directory");
  CHECK(secret_of("0123456789abcdef") == "");
  CHECK(secret_of(" \t0123456789 abcdef\r\n\n") == "");
  CHECK(read_secret(cluster) == "0123456789 abcdef");
  const std::string least =
      " bytes without the blanks around them, 16 are the least (head -c 24 "
      "/dev/urandom | base64 makes some)";
  CHECK(secret_of("") == where + "holds 0" + least);
  CHECK(secret_of(" \n ") == where + "holds 0" + least);
  CHECK(secret_of("0123456789abcde\n") == where + "holds 15" + least);
  CHECK(secret_of(std::string(4096, 'x')) == "");
  CHECK(secret_of(std::string(4097, 'x')) == where + "is longer than 4096 bytes");
  cluster.secret_file = directory.path();
  CHECK(thrown_by([&] { return read_secret(cluster); }) ==
        "cluster.secret_file: " + directory.path() + ": is not a file");
}

TEST_CASE("config: the files of a cluster's TLS must be there", "[engine]") {
  const TemporaryDirectory directory;
  ClusterConfig cluster;
  const auto make = [&](const std::string& name) {
    std::string path = directory.path() + "/" + name;
    std::ofstream(path) << "0123456789abcdef";
    return path;
  };
  const auto problem = [&] {
    return thrown_by([&] {
      check_cluster_files(cluster);
      return 0;
    });
  };
  cluster.secret_file = make("secret");
  CHECK(problem() == "");
  cluster.tls = {make("cert"), make("key"), directory.path() + "/ca"};
  CHECK(problem() ==
        "cluster.tls.ca: " + cluster.tls.ca + ": cannot be read: No such file or directory");
  make("ca");
  CHECK(problem() == "");
}

}  // namespace clickmill::engine
