#include "clickmill/node.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <functional>

#include "base/temporary_directory.h"
#include "http/test_client.h"

namespace clickmill {
namespace {

std::string config_in(const std::string& directory) {
  return R"({"data_dir": ")" + directory +
         R"(", "listen": {"collector": "127.0.0.1:0", "api": "127.0.0.1:0"},)"
         R"( "catalog": {"file": ""},)"
         R"( "log": {"partitions": 4}, "threads": 1})";
}

bool within_ten_seconds(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("node: another program's node counts a click, and has it after a restart", "[engine]") {
  const TemporaryDirectory directory;
  const std::string counts =
      "/v1/metrics/clicks?ad_id=ad_1&from=0&to=200000000000&granularity=total";
  const auto counted = [&](const Node& node) {
    http::TestClient api(node.api_address());
    return within_ten_seconds([&] {
      return api.call("GET", counts).body.find("\"total\":{\"click_count\":1,") !=
             std::string::npos;
    });
  };
  {
    Node node(config_in(directory.path()));
    http::TestClient api(node.api_address());
    CHECK(api.call("PUT", "/v1/ads/ad_1",
                   R"({"advertiser_id":"a","ad_format":"banner",)"
                   R"("redirect_url":"https://example.com/"})")
              .status == 201);
    // Of 1973, so it needs the backfill to be on time.
    CHECK(api.call("POST", "/v1/clicks?mode=backfill",
                   R"({"click_id":"c","ad_id":"ad_1","timestamp_ms":100000000000})")
              .status == 202);
    CHECK(counted(node));
    http::TestClient collector(node.collector_address());
    CHECK(collector.call("GET", "/v1/click?ad_id=ad_1").status == 302);
    node.stop();
    node.stop();
    CHECK_FALSE(http::TestClient(node.api_address()).connected());
  }
  Node again(config_in(directory.path()));
  CHECK(counted(again));
}

TEST_CASE("node: what keeps it from starting is told", "[engine]") {
  const TemporaryDirectory directory;
  CHECK_THROWS_WITH(Node(R"({"data_dri": "x"})"), Catch::Contains("data_dir"));
  Node first(config_in(directory.path()));
  CHECK_THROWS_WITH(Node(config_in(directory.path())), Catch::Contains("in use"));
}

}  // namespace clickmill
