#include "cluster/level_watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace clickmill::cluster {
namespace {

int64_t seconds(int64_t ns) { return ns / 1'000'000'000; }

}  // namespace

LevelWatch::LevelWatch(Options options, int64_t now_ns)
    : options_(std::move(options)), born_ns_(now_ns), hold_(options_.most) {
  nodes_ = {options_.node};
  said_[options_.node] = {options_.levels, own_most(), true, now_ns};
}

FeatureLevel LevelWatch::own_most() const {
  return hold_ == 0 ? options_.levels.highest : std::min(hold_, options_.levels.highest);
}

void LevelWatch::hold(FeatureLevel most, int64_t now_ns) {
  const std::lock_guard lock(mutex_);
  hold_ = most;
  Said& own = said_.at(options_.node);
  if (own.most == own_most()) return;
  own.most = own_most();
  own.since_ns = now_ns;
}

FeatureLevel LevelWatch::most() const {
  const std::lock_guard lock(mutex_);
  return own_most();
}

void LevelWatch::linked(const std::string& peer, FeatureLevels levels, FeatureLevel most,
                        int64_t now_ns) {
  const std::lock_guard lock(mutex_);
  said_[peer] = {levels, std::min(most, levels.highest), true, now_ns};
}

void LevelWatch::parted(const std::string& peer, int64_t now_ns) {
  const std::lock_guard lock(mutex_);
  const auto said = said_.find(peer);
  // A link that can't be made is told again and again.
  if (said == said_.end() || !std::exchange(said->second.linked, false)) return;
  said->second.since_ns = now_ns;
}

void LevelWatch::set_nodes(std::vector<std::string> nodes) {
  const std::lock_guard lock(mutex_);
  nodes_ = std::move(nodes);
}

void LevelWatch::set_level(FeatureLevel level) {
  const std::lock_guard lock(mutex_);
  level_ = std::max(level_, level);
}

FeatureLevel LevelWatch::recorded() const {
  const std::lock_guard lock(mutex_);
  return level_;
}

/// Where nothing is recorded, all that this program can do without a record is agreed on.
FeatureLevel LevelWatch::level() const {
  const std::lock_guard lock(mutex_);
  return std::max(level_, options_.levels.lowest);
}

std::optional<FeatureLevel> LevelWatch::due(int64_t now_ns) const {
  const std::lock_guard lock(mutex_);
  FeatureLevel next = own_most();
  for (const std::string& node : nodes_) {
    const auto said = said_.find(node);
    if (said == said_.end() || !said->second.linked) return std::nullopt;
    if (now_ns - said->second.since_ns < options_.steady_ms * 1'000'000) return std::nullopt;
    next = std::min(next, said->second.most);
  }
  if (next <= std::max(level_, options_.levels.lowest)) return std::nullopt;
  return next;
}

/// In the order in which an operator can do something about it.
std::string LevelWatch::waits_for(const std::string& node, FeatureLevel next,
                                  int64_t now_ns) const {
  const auto at = said_.find(node);
  if (at == said_.end())
    return fmt::format("has not been linked since this node's start, {} s ago",
                       seconds(now_ns - born_ns_));
  const Said& said = at->second;
  if (!said.linked) return fmt::format("is away for {} s", seconds(now_ns - said.since_ns));
  if (said.levels.highest < next) return fmt::format("runs {} at most", said.levels.highest);
  if (said.most < next)
    return fmt::format("holds it at {} (cluster.hold_feature_level)", said.most);
  const int64_t steady_ns = now_ns - said.since_ns;
  if (steady_ns < options_.steady_ms * 1'000'000)
    return fmt::format("has been ready for {} s of {}", seconds(steady_ns),
                       options_.steady_ms / 1'000);
  return {};
}

LevelWatch::View LevelWatch::view(int64_t now_ns) const {
  const std::lock_guard lock(mutex_);
  View view;
  view.level = std::max(level_, options_.levels.lowest);
  FeatureLevel highest = options_.levels.highest;
  for (const std::string& node : nodes_) {
    Node& of = view.nodes[node];
    const auto said = said_.find(node);
    if (said == said_.end()) continue;
    of.levels = said->second.levels;
    of.most = said->second.most;
    highest = std::max(highest, said->second.levels.highest);
  }
  if (highest <= view.level) return view;
  view.next = highest;
  for (auto& [node, of] : view.nodes) of.waits = waits_for(node, highest, now_ns);
  return view;
}

}  // namespace clickmill::cluster
