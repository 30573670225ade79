#include "tools/cluster_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "base/time_text.h"

namespace clickmill::tools {
namespace {

using nlohmann::json;

struct Node {
  json told;
  uint64_t leads = 0;
  uint64_t behind = 0;  ///< entries that it has not applied, over all partitions
  std::vector<uint64_t> learns, votes_not, leaves, differs;
};

/// 5, 7 to 9
std::string ranges(const std::vector<uint64_t>& numbers) {
  std::string out;
  for (size_t i = 0; i < numbers.size();) {
    size_t end = i;
    while (end + 1 < numbers.size() && numbers[end + 1] == numbers[end] + 1) ++end;
    if (!out.empty()) out += ", ";
    out += end < i + 2 ? fmt::format("{}", numbers[i])
                       : fmt::format("{} to {}", numbers[i], numbers[end]);
    i = end < i + 2 ? i + 1 : end + 1;
  }
  return out;
}

std::string partitions_text(const std::vector<uint64_t>& numbers) {
  return fmt::format("{} partition{} ({})", numbers.size(), numbers.size() == 1 ? "" : "s",
                     ranges(numbers));
}

bool contains(const json& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

class Report {
 public:
  Report(json cluster, json readiness, int64_t now_ms)
      : cluster_(std::move(cluster)), readiness_(std::move(readiness)), now_ms_(now_ms) {}

  /// Throws what nlohmann throws.
  ClusterReport make() {
    self_ = cluster_.at("node_id").get<std::string>();
    for (const json& node : cluster_.at("nodes")) {
      const auto name = node.at("node_id").get<std::string>();
      names_.push_back(name);
      nodes_[name].told = node;
    }
    std::sort(names_.begin(), names_.end());
    for (const json& partition : cluster_.at("partitions")) take(partition);
    say_nodes();
    say_level();
    say_partitions();
    say_readiness();
    out_.lines.push_back(out_.problems.empty()
                             ? "all is well"
                             : fmt::format("not well: {}", fmt::join(out_.problems, "; ")));
    out_.json = json{{"well", out_.problems.empty()},
                     {"problems", out_.problems},
                     {"cluster", cluster_},
                     {"readiness", readiness_}}
                    .dump(2);
    return std::move(out_);
  }

 private:
  void take(const json& partition) {
    const auto id = partition.at("partition").get<uint64_t>();
    const auto committed = partition.at("committed_offset").get<uint64_t>();
    ++partitions_;
    if (partition.at("leader").is_string()) {
      ++nodes_[partition.at("leader").get<std::string>()].leads;
    } else {
      leaderless_.push_back(id);
    }
    for (const std::string& name : names_) {
      Node& node = nodes_[name];
      if (contains(partition.at("learners"), name)) {
        node.learns.push_back(id);
      } else if (is_placed(partition, name) && !contains(partition.at("voters"), name)) {
        node.votes_not.push_back(id);
      } else if (!is_placed(partition, name) && contains(partition.at("voters"), name)) {
        node.leaves.push_back(id);
      }
      if (partition.contains("differing") && contains(partition.at("differing"), name))
        node.differs.push_back(id);
    }
    const auto lags = [&](const std::string& name, uint64_t applied) {
      nodes_[name].behind += committed - std::min(committed, applied);
    };
    if (partition.value("here", true)) lags(self_, partition.at("applied_offset").get<uint64_t>());
    for (const json& other : partition.value("replicas", json::array()))
      lags(other.at("node_id").get<std::string>(), other.at("applied_offset").get<uint64_t>());
  }

  static bool is_placed(const json& partition, const std::string& name) {
    return !partition.contains("placed") || contains(partition.at("placed"), name);
  }

  std::string state_of(const std::string& name) const {
    const json& told = nodes_.at(name).told;
    if (told.at("state") == "up") return name == self_ ? "up, asked" : "up";
    if (!told.at("last_seen").is_string()) return "never heard";
    const auto seen = parse_time_ms(told.at("last_seen").get<std::string>());
    if (!seen) return "down";
    return fmt::format("down for {} s", std::max<int64_t>(0, now_ms_ - *seen) / 1000);
  }

  static std::string measured(const json& told, const char* field, double divisor) {
    if (!told.contains(field) || !told.at(field).is_number()) return "-";
    return fmt::format("{:.1f} ms", told.at(field).get<double>() / divisor);
  }

  static std::string levels(const json& told) {
    // An earlier version says nothing of them.
    const json of = told.value("feature_levels", json());
    if (!of.is_object()) return "-";
    const auto lowest = of.at("lowest").get<uint64_t>();
    const auto highest = of.at("highest").get<uint64_t>();
    return lowest == highest ? fmt::format("{}", highest) : fmt::format("{}-{}", lowest, highest);
  }

  void say_nodes() {
    out_.lines.push_back(names_.size() == 1
                             ? fmt::format("{}, a node alone", self_)
                             : fmt::format("{} nodes, as {} sees them", names_.size(), self_));
    out_.lines.push_back(fmt::format("  {:<12} {:<16} {:>6} {:>10} {:>9} {:>11} {:>7}  {}", "node",
                                     "state", "leads", "behind", "rtt", "clock", "levels",
                                     "version"));
    for (const std::string& name : names_) {
      const Node& node = nodes_.at(name);
      out_.lines.push_back(fmt::format("  {:<12} {:<16} {:>6} {:>10} {:>9} {:>11} {:>7}  {}", name,
                                       state_of(name), node.leads, node.behind,
                                       measured(node.told, "rtt_us", 1e3),
                                       measured(node.told, "clock_offset_ms", 1), levels(node.told),
                                       node.told.value("version", "")));
      if (node.told.at("state") != "up") problem(fmt::format("{} is {}", name, state_of(name)));
    }
  }

  /// In an upgrade it waits, which is no trouble.
  void say_level() {
    const json of = cluster_.value("feature_level", json());
    if (!of.is_object()) return;
    std::string line = fmt::format("feature level {}", of.at("level").get<uint64_t>());
    if (of.at("next").is_number())
      line += fmt::format("; waiting to go to {}", of.at("next").get<uint64_t>());
    const char* before = ": ";
    for (const json& node : of.at("waits_for")) {
      line +=
          before + node.at("node_id").get<std::string>() + " " + node.at("why").get<std::string>();
      before = "; ";
    }
    out_.lines.push_back(std::move(line));
  }

  void say_partitions() {
    std::string line = fmt::format("{} partitions", partitions_);
    if (leaderless_.empty()) line += ", each has a leader";
    out_.lines.push_back(line);
    if (!leaderless_.empty()) problem(partitions_text(leaderless_) + " without a leader");
    for (const std::string& name : names_) {
      const Node& node = nodes_.at(name);
      if (!node.learns.empty())
        problem(fmt::format("{} learns, and does not vote yet, in {}", name,
                            partitions_text(node.learns)));
      if (!node.votes_not.empty())
        problem(fmt::format("{} is no member of {}", name, partitions_text(node.votes_not)));
      if (!node.leaves.empty())
        problem(fmt::format("{} has still to part with {}", name, partitions_text(node.leaves)));
      if (!node.differs.empty())
        problem(fmt::format("counts of {} differ in {}", name, partitions_text(node.differs)));
    }
  }

  void say_readiness() {
    for (const json& reason : readiness_.at("reasons"))
      problem(fmt::format("{} is not ready: {}", self_, reason.get<std::string>()));
    for (const json& warning : readiness_.at("warnings"))
      out_.lines.push_back("warning: " + warning.get<std::string>());
  }

  void problem(std::string text) { out_.problems.push_back(std::move(text)); }

  const json cluster_;
  const json readiness_;
  const int64_t now_ms_;
  std::string self_;
  std::vector<std::string> names_;
  std::map<std::string, Node> nodes_;
  std::vector<uint64_t> leaderless_;
  uint64_t partitions_ = 0;
  ClusterReport out_;
};

}  // namespace

Result<ClusterReport> report_cluster(std::string_view cluster, std::string_view readiness,
                                     int64_t now_ms) {
  try {
    return Report(json::parse(cluster), json::parse(readiness), now_ms).make();
  } catch (const std::exception& failure) {
    return Error(Errc::invalid, fmt::format("no clickmill api answers so: {}", failure.what()));
  }
}

}  // namespace clickmill::tools
