#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <fstream>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/temporary_directory.h"
#include "clickmill/node.h"

namespace clickmill {
namespace {

/// Ports that were free a moment ago, and that no outgoing connection is given (those begin at
/// 32768); held all at once, so that they differ.
std::vector<int> free_ports(size_t count) {
  std::vector<int> holders, ports;
  while (ports.size() < count) {
    const int holder = socket(AF_INET, SOCK_STREAM, 0);
    const int port = 12'000 + static_cast<int>(secure_random_u64() % 20'000);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(port));
    holders.push_back(holder);
    if (bind(holder, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0)
      ports.push_back(port);
  }
  for (const int holder : holders) close(holder);
  return ports;
}

/// Three nodes in this process, whose clicks' fates are a majority's word.
class ThreeNodes {
 public:
  ThreeNodes() {
    std::ofstream(directory_.path() + "/secret") << "a secret of sixteen bytes and more";
    const auto ports = free_ports(6);
    for (size_t i = 0; i < 3; ++i) {
      peers_ += fmt::format(R"({}{{"node_id":"n{}","peer":"127.0.0.1:{}","api":"127.0.0.1:{}"}})",
                            i == 0 ? "" : ",", i + 1, ports[i], ports[3 + i]);
    }
    // None of them counts before they have all seen each other.
    std::vector<std::future<std::unique_ptr<Node>>> starts;
    for (size_t i = 0; i < 3; ++i) {
      starts.push_back(std::async(std::launch::async, [this, i, port = ports[i]] {
        return std::make_unique<Node>(config_of(i + 1, port));
      }));
    }
    for (auto& start : starts) nodes.push_back(start.get());
  }
  std::vector<std::unique_ptr<Node>> nodes;

 private:
  Config config_of(size_t number, int peer_port) const {
    Config config;
    config.node_id = fmt::format("n{}", number);
    config.data_dir = fmt::format("{}/n{}", directory_.path(), number);
    config.collector = "127.0.0.1:0";
    config.api = "127.0.0.1:0";
    config.partitions = 2;
    config.threads = 1;
    config.catalog_file = "";
    config.durability = "replicated";
    config.json = fmt::format(R"({{"listen":{{"peer":"127.0.0.1:{}"}},)"
                              R"("cluster":{{"peers":[{}],"secret_file":"{}/secret"}}}})",
                              peer_port, peers_, directory_.path());
    return config;
  }
  const TemporaryDirectory directory_;
  std::string peers_;
};

}  // namespace

TEST_CASE("embed: a click's fate is a majority's word in a cluster, and undecided without one",
          "[engine]") {
  ThreeNodes cluster;
  Node& first = *cluster.nodes[0];
  first.put_ad({"ad_1", "adv_1", "banner", "https://example.com/"});
  Click click;
  click.ad_id = "ad_1";
  CHECK(first.record(click).fate.get() == Fate::durable);

  cluster.nodes[1]->stop();
  cluster.nodes[2]->stop();
  Receipt receipt = first.record(click);
  CHECK(receipt.redirect_url == "https://example.com/");
  first.stop();
  CHECK(receipt.fate.get() == Fate::undecided);
}

TEST_CASE("embed: a node without listeners refuses a cluster", "[engine]") {
  Config config;
  config.listeners = false;
  config.node_id = "n1";
  config.json =
      R"({"cluster":{"peers":[{"node_id":"n1","peer":"127.0.0.1:1","api":"127.0.0.1:2"}],)"
      R"("replication":1,"secret_file":"secret"}})";
  CHECK_THROWS_WITH(Node(config), Catch::Contains("cluster: a node without listeners"));
}

}  // namespace clickmill
