#include "tools/cluster_command.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/clock.h"
#include "tools/cluster_options.h"
#include "tools/cluster_report.h"
#include "tools/help.h"
#include "tools/members_commands.h"
#include "tools/node_api.h"
#include "tools/rejoin.h"

namespace clickmill::tools {
namespace {

constexpr int kWell = 0;
constexpr int kNotWell = 1;
constexpr int kCouldNotRun = 2;

/// The node of --node, or that of --config; where that one does not answer, another of its
/// cluster.
Result<std::unique_ptr<NodeApi>> reach(const ClusterOptions& options, const Print& tell) {
  if (!options.config) return NodeApi::open(options.node, options.key_file);
  std::vector<std::string> urls{api_url(*options.config)};
  if (const auto& cluster = options.config->cluster) {
    for (const auto& peer : cluster->peers) {
      if (peer.node_id != options.config->node_id) urls.push_back(api_url(*options.config, peer));
    }
  }
  std::string why;
  for (const std::string& url : urls) {
    auto api = TRY(NodeApi::open(url, options.key_file));
    auto lives = api->get("/healthz");
    if (lives) return api;
    why = lives.error().text();
    tell(why);
  }
  return Error(Errc::io, "no node answers; the last said: " + why);
}

Result<int> status(const ClusterOptions& options, const Print& print, const Print& tell) {
  const auto api = TRY(reach(options, tell));
  const std::string cluster = TRY(api->body_of("/v1/cluster"));
  // 503 tells the reasons.
  const auto readiness = TRY(api->get("/readyz"));
  const auto report = TRY(report_cluster(cluster, readiness.body, SystemClock().wall_ms()));
  if (options.json) {
    print(report.json);
  } else {
    for (const std::string& line : report.lines) print(line);
  }
  return report.problems.empty() ? kWell : kNotWell;
}

Result<int> rejoin(const ClusterOptions& options, const Print& print, const Print& tell) {
  return rejoin_command(*options.config, options.from, options.key_file, options.yes, print, tell);
}

struct Verb {
  std::string_view name;
  Result<int> (*run)(const ClusterOptions& options, const Print& print, const Print& tell);
  ClusterOptions::Takes takes;
};
constexpr Verb kVerbs[] = {
    {"status", status, {.node = true, .key = true, .json = true}},
    {"add", add_command, {.key = true, .names = 1}},
    {"drain", drain_command, {.key = true, .yes = true, .names = 1}},
    {"replace", replace_command, {.key = true, .yes = true, .names = 2}},
    {"forget", forget_command, {.key = true, .yes = true, .names = 1}},
    {"replication", replication_command, {.key = true, .names = 1}},
    {"rejoin", rejoin, {.from = true, .key = true, .yes = true}},
};

Result<int> run(const std::vector<std::string>& arguments, const Print& print, const Print& tell) {
  if (arguments.empty()) return Error(Errc::invalid, "what to do is missing");
  for (const Verb& verb : kVerbs) {
    if (verb.name != arguments[0]) continue;
    const auto options =
        TRY(read_cluster_options({arguments.begin() + 1, arguments.end()}, verb.takes));
    return verb.run(options, print, tell);
  }
  return Error(Errc::invalid, "no such command: " + arguments[0]);
}

}  // namespace

int cluster_command(const std::vector<std::string>& arguments, const Print& print,
                    const Print& tell) {
  auto code = run(arguments, print, tell);
  if (code) return *code;
  const std::string verb = arguments.empty() ? "" : " " + arguments[0];
  tell(fmt::format("clickmill: cluster{}: {}", verb, code.error().text()));
  if (code.error().code() == Errc::invalid) tell(usage_of("cluster"));
  return kCouldNotRun;
}

}  // namespace clickmill::tools
