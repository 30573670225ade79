#include "tools/cluster_report.h"

#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "tools/cluster_command.h"

namespace clickmill::tools {
namespace {

constexpr int64_t kNow = 1'782'295'212'000;  // 12 s after n3 was heard last
constexpr const char* kReady = R"({"ready":true,"reasons":[],"warnings":[]})";

std::string node(const std::string& name, const char* state) {
  return fmt::format(
      R"({{"node_id":"{}","state":"{}","last_seen":"2026-06-24T10:00:00Z","version":"1.2",)"
      R"("linked":true,"rtt_us":420,"clock_offset_ms":3}})",
      name, state);
}

struct Of {
  std::string leader = "\"n1\"";
  std::string voters = R"("n1","n2","n3")";
  std::string learners{};
  std::string differing{};
  uint64_t n3_applied = 100;
  std::string more{};
};

std::string cluster(const char* n3, const std::vector<Of>& partitions) {
  std::string out = R"({"node_id":"n1","nodes":[)" + node("n1", "up") + "," + node("n2", "up") +
                    "," + node("n3", n3) + R"(],"partitions":[)";
  for (size_t i = 0; i < partitions.size(); ++i) {
    const Of& of = partitions[i];
    if (i > 0) out += ',';
    out += fmt::format(
        R"({{"partition":{},"leader":{},"voters":[{}],"learners":[{}],"committed_offset":100,)"
        R"("applied_offset":100,"replicas":[{{"node_id":"n2","applied_offset":100}},)"
        R"({{"node_id":"n3","applied_offset":{}}}],"differing":[{}]{}}})",
        i, of.leader, of.voters, of.learners, of.n3_applied, of.differing, of.more);
  }
  return out + "]}";
}

std::string text(const ClusterReport& report) {
  return fmt::format("{}", fmt::join(report.lines, "\n"));
}

bool says(const ClusterReport& report, const std::string& what) {
  return text(report).find(what) != std::string::npos;
}

TEST_CASE("cluster status: a node lacks only what it is to hold", "[tools]") {
  Of of;
  of.voters = R"("n1","n2")";
  of.more = R"(,"here":true,"placed":["n1","n2"])";
  auto report = report_cluster(cluster("up", {of}), kReady, kNow);
  REQUIRE(report);
  CAPTURE(text(*report));
  CHECK(report->problems.empty());
  of.more = R"(,"here":true,"placed":["n2","n3"])";
  report = report_cluster(cluster("up", {of}), kReady, kNow);
  REQUIRE(report);
  CHECK(says(*report, "n3 is no member of 1 partition (0)"));
  CHECK(says(*report, "n1 has still to part with 1 partition (0)"));
}

TEST_CASE("cluster status: a cluster that is well says so", "[tools]") {
  const auto report = report_cluster(cluster("up", {{}, {.leader = "\"n2\""}}), kReady, kNow);
  REQUIRE(report);
  CAPTURE(text(*report));
  CHECK(report->problems.empty());
  CHECK(report->lines.back() == "all is well");
  CHECK(says(*report, "3 nodes, as n1 sees them"));
  CHECK(says(*report, "2 partitions, each has a leader"));
  CHECK(says(*report, "0.4 ms"));
}

TEST_CASE("cluster status: what the level is, and who keeps it from rising", "[tools]") {
  const auto told = [](const std::string& level) {
    std::string out = cluster("up", {{}});
    out.replace(out.find(R"("version")"), 0,
                R"("feature_levels":{"lowest":1,"highest":2,"held_at":null},)");
    out.insert(out.size() - 1, R"(,"feature_level":)" + level);
    return report_cluster(out, kReady, kNow);
  };
  auto report = told(R"({"level":1,"next":2,"waits_for":[{"node_id":"n2","why":"is away for 9 s"},)"
                     R"({"node_id":"n3","why":"runs 1 at most"}]})");
  REQUIRE(report);
  CAPTURE(text(*report));
  CHECK(says(*report, "  1-2  1.2"));
  CHECK(
      says(*report, "feature level 1; waiting to go to 2: n2 is away for 9 s; n3 runs 1 at most"));
  // It waits in every upgrade: no trouble by itself.
  CHECK(report->problems.empty());
  report = told(R"({"level":2,"next":null,"waits_for":[]})");
  REQUIRE(report);
  CHECK(says(*report, "feature level 2"));
}

TEST_CASE("cluster status: what is wrong is named", "[tools]") {
  const auto with = [](Of of) { return cluster("up", {{}, std::move(of)}); };
  const auto [told, readiness, problem] =
      GENERATE_COPY(table<std::string, std::string, std::string>({
          {cluster("down", {{}}), kReady, "n3 is down for 12 s"},
          {with({.leader = "null"}), kReady, "1 partition (1) without a leader"},
          {with({.voters = R"("n1","n2")", .learners = R"("n3")"}), kReady,
           "n3 learns, and does not vote yet, in 1 partition (1)"},
          {with({.voters = R"("n1","n2")"}), kReady, "n3 is no member of 1 partition (1)"},
          {with({.differing = R"("n3")"}), kReady, "counts of n3 differ in 1 partition (1)"},
          {cluster("up", {{}}), R"({"ready":false,"reasons":["disk: full"],"warnings":[]})",
           "n1 is not ready: disk: full"},
      }));
  const auto report = report_cluster(told, readiness, kNow);
  REQUIRE(report);
  CAPTURE(text(*report));
  CHECK(report->problems == std::vector<std::string>{problem});
  CHECK(report->json.find(problem) != std::string::npos);
}

TEST_CASE("cluster status: entries that a node has yet to apply are added up", "[tools]") {
  const auto report = report_cluster(
      cluster("up", {{.n3_applied = 60}, {.n3_applied = 98}, {.n3_applied = 130}}), kReady, kNow);
  REQUIRE(report);
  CAPTURE(text(*report));
  CHECK(says(*report, " 42 "));
  // To trail is no trouble by itself.
  CHECK(report->problems.empty());
}

TEST_CASE("cluster status: what is no answer of a node is refused", "[tools]") {
  CHECK_FALSE(report_cluster("{}", kReady, kNow));
  CHECK_FALSE(report_cluster("<html>", kReady, kNow));
  CHECK_FALSE(report_cluster(cluster("up", {{}}), "{}", kNow));
  CHECK_FALSE(report_cluster(R"({"node_id":7,"nodes":[],"partitions":[]})", kReady, kNow));
}

TEST_CASE("cluster commands: a wrong command line says what is wrong", "[tools]") {
  const auto [arguments, says] = GENERATE(table<std::vector<std::string>, std::string>({
      {std::vector<std::string>(), "what to do is missing"},
      {{"frobnicate"}, "no such command: frobnicate"},
      {{"status"}, "--config or --node is missing"},
      {{"status", "--node"}, "--node needs a value"},
      {{"status", "--yes"}, "unknown option --yes"},
      {{"status", "n1", "--node", "http://127.0.0.1:1"}, "n1 is no option"},
      {{"status", "--node", "ftp://x"}, "ftp://x"},
  }));
  std::string told;
  const int code = cluster_command(
      arguments, [](const std::string&) {}, [&](const std::string& line) { told += line + "\n"; });
  CAPTURE(told);
  CHECK(code == 2);
  CHECK(told.find(says) != std::string::npos);
}

}  // namespace
}  // namespace clickmill::tools
