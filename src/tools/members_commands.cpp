#include "tools/members_commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "tools/node_api.h"
#include "tools/progress.h"

namespace clickmill::tools {
namespace {

using nlohmann::json;

constexpr int kDone = 0;
constexpr int kUnchanged = 2;
constexpr auto kPollEvery = std::chrono::milliseconds(500);
constexpr int kPollsInVain = 240;

bool contains(const json& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// The nodes of a config, those of them that answer, and what they say.
class Members {
 public:
  Members(const ClusterOptions& options, const Print& print, const Print& tell)
      : config_(*options.config),
        options_(options),
        print_(print),
        progress_(clock_, tell),
        tell_(tell) {}

  Status open() {
    if (!config_.cluster) return Error(Errc::invalid, "the config has no cluster");
    for (const auto& peer : config_.cluster->peers)
      apis_[peer.node_id] = TRY(NodeApi::open(api_url(config_, peer), options_.key_file));
    TRY(look());
    for (const auto& [name, api] : apis_) {
      if (seen_.count(name) == 0) tell_(fmt::format("{} does not answer at {}", name, api->url()));
    }
    return {};
  }

  bool configured(const std::string& node) const { return apis_.count(node) > 0; }
  bool answers(const std::string& node) const { return seen_.count(node) > 0; }
  size_t answering() const { return seen_.size(); }
  size_t size() const { return apis_.size(); }

  /// Nodes that answer and have, or lack, it in their configs.
  std::vector<std::string> naming(const std::string& node, bool named) const {
    std::vector<std::string> out;
    for (const auto& [name, cluster] : seen_) {
      const bool has = std::any_of(cluster.at("nodes").begin(), cluster.at("nodes").end(),
                                   [&](const json& one) { return one.at("node_id") == node; });
      if (has == named) out.push_back(name);
    }
    return out;
  }

  /// Partitions in which it has the place, as the first one that answers sees it.
  size_t places(const std::string& node, const char* place) const {
    const json& partitions = view();
    return static_cast<size_t>(
        std::count_if(partitions.begin(), partitions.end(),
                      [&](const json& one) { return contains(one.at(place), node); }));
  }
  size_t partitions() const { return view().size(); }
  /// Partitions that it is to hold.
  size_t placed(const std::string& node) const {
    const json& all = view();
    return static_cast<size_t>(std::count_if(
        all.begin(), all.end(), [&](const json& one) { return is_placed(one, node); }));
  }
  bool votes_everywhere(const std::string& node) const { return lacking(node) == 0; }
  /// Whether some node doesn't hold everything.
  bool partial() const {
    return std::any_of(apis_.begin(), apis_.end(),
                       [&](const auto& one) { return placed(one.first) < partitions(); });
  }
  /// Partitions that are still on a node of the config which is not to hold them.
  size_t moving() const {
    const json& all = view();
    return static_cast<size_t>(std::count_if(all.begin(), all.end(), [&](const json& one) {
      return std::any_of(one.at("voters").begin(), one.at("voters").end(), [&](const json& voter) {
        return configured(voter.get<std::string>()) && !is_placed(one, voter.get<std::string>());
      });
    }));
  }
  /// Where without the node fewer than half of the voters would answer.
  std::vector<uint64_t> stuck_without(const std::string& node) const {
    std::vector<uint64_t> stuck;
    for (const json& one : view()) {
      const json& voters = one.at("voters");
      const auto left = std::count_if(voters.begin(), voters.end(), [&](const json& voter) {
        return voter != node && answers(voter.get<std::string>());
      });
      if (static_cast<size_t>(left) * 2 <= voters.size())
        stuck.push_back(one.at("partition").get<uint64_t>());
    }
    return stuck;
  }
  size_t led_by(const std::string& node) const {
    const json& partitions = view();
    return static_cast<size_t>(
        std::count_if(partitions.begin(), partitions.end(),
                      [&](const json& one) { return one.at("leader") == node; }));
  }

  /// Nodes that answer and have another cluster.replication than this config.
  std::vector<std::string> with_other_replication() const {
    std::vector<std::string> out;
    for (const auto& [name, cluster] : seen_) {
      if (cluster.value("replication", uint64_t{0}) != config_.cluster->replicas())
        out.push_back(name);
    }
    return out;
  }
  /// Copies that are still to be made.
  size_t missing() const {
    size_t sum = 0;
    for (const auto& [name, api] : apis_) sum += lacking(name);
    return sum;
  }

  /// Voters besides it, where they are fewest.
  size_t fewest_without(const std::string& node) const {
    size_t fewest = SIZE_MAX;
    for (const json& one : view()) {
      const json& voters = one.at("voters");
      fewest = std::min(fewest, voters.size() - (contains(voters, node) ? 1 : 0));
    }
    return fewest;
  }

  /// Asks again until it says true. Errc::busy: nothing moves any more.
  Status until(const std::function<Result<bool>()>& done, const std::function<std::string()>& how) {
    std::string before;
    for (int in_vain = 0; in_vain < kPollsInVain; ++in_vain) {
      if (TRY(done())) return {};
      std::string now = how();
      progress_.at([&] { return now; });
      if (now != before) in_vain = 0;
      before = std::move(now);
      std::this_thread::sleep_for(kPollEvery);
      TRY(look());
    }
    return Error(Errc::busy, "nothing moves any more: " + before);
  }

  Status wait_until_votes(const std::string& node) {
    return until([&]() -> Result<bool> { return votes_everywhere(node) && moving() == 0; },
                 [&] {
                   std::string how = fmt::format(
                       "{} votes in {} of {} partitions, and learns in {}", node,
                       placed(node) - lacking(node), placed(node), places(node, "learners"));
                   if (const size_t left = moving(); left != 0)
                     how += fmt::format("; {} partitions have yet to leave another node", left);
                   return how;
                 });
  }

  /// Has all leaders part with it, again and again, since leads move.
  Status part_with(const std::string& node) {
    const auto parted = [&]() -> Result<bool> {
      uint64_t left = places(node, "voters") + places(node, "learners");
      for (const auto& [name, cluster] : seen_) {
        const json led = TRY(ask(name, http::Method::delete_, "/v1/cluster/nodes/" + node));
        left += led.at("groups_with_strangers").get<uint64_t>();
      }
      return left == 0;
    };
    return until(parted, [&] {
      return fmt::format("{} is a member of {} of {} partitions still", node,
                         places(node, "voters") + places(node, "learners"), partitions());
    });
  }

  Result<json> ask(const std::string& node, http::Method method, const std::string& path) {
    NodeApi& api = *apis_.at(node);
    const auto reply = TRY(api.ask(method, path));
    json body = json::parse(reply.body, nullptr, false);
    if (reply.status == 200 && body.is_object()) return body;
    const bool says = body.is_object() && body.contains("detail") && body["detail"].is_string();
    return Error(Errc::invalid,
                 fmt::format("{} answered {}: {}", api.url(), reply.status,
                             says ? body["detail"].get<std::string>() : "no clickmill api?"));
  }

  Result<uint64_t> spooled(const std::string& node) {
    const std::string text = TRY(apis_.at(node)->body_of("/metrics"));
    const std::string name = "\nclickmill_spool_clicks ";
    const size_t at = text.find(name);
    if (at == std::string::npos) return Error(Errc::invalid, node + " tells no spool");
    return static_cast<uint64_t>(std::strtod(text.c_str() + at + name.size(), nullptr));
  }

  /// True: it is to be done.
  bool goes_on(const std::vector<std::string>& plan) const {
    for (const std::string& line : plan) print_(line);
    if (!options_.yes) print_("Nothing was changed; --yes does it.");
    return options_.yes;
  }
  void say(const std::string& line) const { print_(line); }
  const engine::Config& config() const { return config_; }

 private:
  static bool is_placed(const json& partition, const std::string& node) {
    return !partition.contains("placed") || contains(partition.at("placed"), node);
  }
  /// Partitions that it is to hold and doesn't vote in.
  size_t lacking(const std::string& node) const {
    const json& all = view();
    return static_cast<size_t>(std::count_if(all.begin(), all.end(), [&](const json& one) {
      return is_placed(one, node) && !contains(one.at("voters"), node);
    }));
  }

  Status look() {
    seen_.clear();
    std::string why;
    for (const auto& [name, api] : apis_) {
      auto body = api->body_of("/v1/cluster");
      json cluster = body ? json::parse(*body, nullptr, false) : json();
      if (cluster.is_object() && cluster.contains("partitions") && cluster.contains("nodes")) {
        seen_[name] = std::move(cluster);
      } else if (!body) {
        // One that answers and refuses would refuse the rest too.
        if (body.error().code() == Errc::invalid) return std::move(body).error();
        why = body.error().text();
      }
    }
    if (seen_.empty()) return Error(Errc::io, "no node answers; the last said: " + why);
    return {};
  }
  const json& view() const { return seen_.begin()->second.at("partitions"); }

  const engine::Config& config_;
  const ClusterOptions& options_;
  const Print& print_;
  const SystemClock clock_;
  Progress progress_;
  const Print& tell_;
  std::map<std::string, std::unique_ptr<NodeApi>> apis_;
  std::map<std::string, json> seen_;
};

std::string and_list(const std::vector<std::string>& names) {
  return fmt::format("{}", fmt::join(names, " and "));
}

/// Every node that answers must know the newcomer.
Status check_comes(const Members& members, const std::string& node) {
  if (!members.configured(node)) {
    return Error(Errc::invalid,
                 fmt::format("{} is not in cluster.peers of this config: add it there on every "
                             "node, and start them again one after the other",
                             node));
  }
  if (const auto lacking = members.naming(node, false); !lacking.empty()) {
    return Error(Errc::invalid,
                 fmt::format("{} does not have {} in its cluster.peers yet: add it, and start it "
                             "again",
                             and_list(lacking), node));
  }
  if (!members.answers(node))
    return Error(Errc::invalid,
                 fmt::format("{} does not answer: start it, with an empty data directory", node));
  return {};
}

/// Nobody may know the one that goes, or it would be taken in again.
Status check_goes(const Members& members, const std::string& node) {
  if (members.configured(node)) {
    return Error(Errc::invalid,
                 fmt::format("{} is in cluster.peers of this config still: take it out on every "
                             "node, and start them again one after the other",
                             node));
  }
  if (const auto naming = members.naming(node, true); !naming.empty()) {
    return Error(
        Errc::invalid,
        fmt::format("{} still has {} in its cluster.peers: take it out, and start it again",
                    and_list(naming), node));
  }
  if (members.answering() * 2 <= members.size())
    return Error(Errc::invalid, fmt::format("only {} of {} nodes answer: no quorum could decide it",
                                            members.answering(), members.size()));
  return {};
}

}  // namespace

Result<int> add_command(const ClusterOptions& options, const Print& print, const Print& tell) {
  const std::string& node = options.names[0];
  Members members(options, print, tell);
  TRY(members.open());
  TRY(check_comes(members, node));
  const std::string where = members.partial()
                                ? fmt::format("its {} partitions", members.placed(node))
                                : "every partition";
  if (members.votes_everywhere(node) && members.moving() == 0) {
    print(fmt::format("{} votes in {} already", node, where));
    return kDone;
  }
  print(
      fmt::format("{} gets the log of {} from the leaders, and then votes; it does so by itself, "
                  "this command only waits for it",
                  node, where));
  TRY(members.wait_until_votes(node));
  print(fmt::format("done: {} votes in {}", node, where));
  return kDone;
}

Result<int> replace_command(const ClusterOptions& options, const Print& print, const Print& tell) {
  const std::string& old = options.names[0];
  const std::string& fresh = options.names[1];
  Members members(options, print, tell);
  TRY(members.open());
  TRY(check_goes(members, old));
  TRY(check_comes(members, fresh));
  if (!members.goes_on(
          {fmt::format("{} gets every partition's log, and votes when it has it.", fresh),
           fmt::format("Then {} loses its vote in every partition and in the ads. Its machine must "
                       "not come back under this name; clicks that only it has are lost with it.",
                       old)}))
    return kUnchanged;
  TRY(members.wait_until_votes(fresh));
  print(fmt::format("{} votes in {} partitions", fresh, members.placed(fresh)));
  TRY(members.part_with(old));
  print(fmt::format("done: {} is a member of nothing any more", old));
  return kDone;
}

Result<int> forget_command(const ClusterOptions& options, const Print& print, const Print& tell) {
  const std::string& node = options.names[0];
  Members members(options, print, tell);
  TRY(members.open());
  TRY(check_goes(members, node));
  const size_t copies = members.config().cluster->replicas();
  // Once all of them are there, those that don't hold everything get what it had.
  const bool spare = members.answering() == members.size();
  if (const size_t left = members.fewest_without(node); left < copies && !spare) {
    return Error(
        Errc::invalid,
        fmt::format("without {} a partition would have {} voters, and cluster.replication "
                    "asks for {}: bring another node in its place (cluster replace {} NEW){}",
                    node, left, copies, node,
                    spare ? "" : ", or start the nodes that don't answer"));
  }
  if (!members.goes_on({fmt::format(
          "{} loses its vote in every partition and in the ads. Its machine must not come back "
          "under this name; clicks that only it has are lost with it.",
          node)}))
    return kUnchanged;
  TRY(members.part_with(node));
  print(fmt::format("done: {} is a member of nothing any more", node));
  return kDone;
}

Result<int> replication_command(const ClusterOptions& options, const Print& print,
                                const Print& tell) {
  Members members(options, print, tell);
  TRY(members.open());
  const uint32_t copies = members.config().cluster->replication;
  if (options.names[0] != std::to_string(copies))
    return Error(
        Errc::invalid,
        fmt::format("cluster.replication of this config is {}: set it to {} on every node, "
                    "and start them again one after the other",
                    copies, options.names[0]));
  if (const auto others = members.with_other_replication(); !others.empty())
    return Error(Errc::invalid,
                 fmt::format("{} was started with another cluster.replication: change it there, "
                             "and start it again",
                             and_list(others)));
  if (members.answering() < members.size())
    return Error(Errc::invalid, fmt::format("only {} of {} nodes answer: nothing moves until all "
                                            "are there",
                                            members.answering(), members.size()));
  const auto how = [&] {
    return fmt::format("{} copies are still to be made, {} partitions have yet to leave a node",
                       members.missing(), members.moving());
  };
  if (members.missing() == 0 && members.moving() == 0) {
    print(fmt::format("each partition is on {} nodes already", copies));
    return kDone;
  }
  print(
      fmt::format("each partition comes to be on {} nodes: {}; it does so by itself, a partition "
                  "after the other, this command only waits for it",
                  copies, how()));
  TRY(members.until([&]() -> Result<bool> { return members.missing() + members.moving() == 0; },
                    how));
  print(fmt::format("done: each partition is on {} nodes", copies));
  return kDone;
}

Result<int> drain_command(const ClusterOptions& options, const Print& print, const Print& tell) {
  const std::string& node = options.names[0];
  Members members(options, print, tell);
  TRY(members.open());
  if (!members.configured(node))
    return Error(Errc::invalid, fmt::format("{} is not in cluster.peers of this config", node));
  if (!members.answers(node))
    return Error(Errc::invalid, fmt::format("{} does not answer: it leads nothing", node));
  if (const auto stuck = members.stuck_without(node); members.partial() && !stuck.empty()) {
    return Error(Errc::invalid,
                 fmt::format("without {} {} partitions (the first is {}) would have no quorum: "
                             "others of their nodes don't answer",
                             node, stuck.size(), stuck.front()));
  }
  if ((members.answering() - 1) * 2 <= members.size()) {
    return Error(Errc::invalid,
                 fmt::format("without {} only {} of {} nodes would be there, and count nothing",
                             node, members.answering() - 1, members.size()));
  }
  if (!members.goes_on({fmt::format("{} gives all its leads away, and its readiness turns red, so "
                                    "that balancers send it no more clicks; it goes on redirecting "
                                    "and keeps its vote until it is stopped. Started again it is "
                                    "as before.",
                                    node)}))
    return kUnchanged;
  uint64_t led = 0;
  uint64_t spooled = 0;
  const auto is_drained = [&]() -> Result<bool> {
    const json said = TRY(members.ask(node, http::Method::post, "/v1/cluster/drain"));
    led = said.at("groups_led").get<uint64_t>();
    spooled = TRY(members.spooled(node));
    return led == 0 && spooled == 0;
  };
  TRY(members.until(is_drained, [&] {
    return fmt::format("{} leads {} groups, {} clicks wait in its spool", node, led, spooled);
  }));
  print(fmt::format("done: {} leads nothing, its spool is empty; it can be stopped", node));
  return kDone;
}

}  // namespace clickmill::tools
