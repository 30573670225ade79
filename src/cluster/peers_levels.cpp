// What a node does about feature levels: which it runs and knows, whom that leaves out, and when
// it has a higher one recorded.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/logging.h"
#include "cluster/peers.h"

namespace clickmill::cluster {

void Peers::tell_levels(peer::Hello& hello) const {
  hello.levels = options_.levels.levels;
  hello.level_most = levels_.most();
  hello.level = levels_.recorded();
}

peer::Hello Peers::own_hello() const {
  peer::Hello hello;
  hello.node_id = options_.node_id;
  hello.version = CLICKMILL_VERSION;
  tell_levels(hello);
  return hello;
}

void Peers::hold_level(FeatureLevel most) {
  const FeatureLevel before = levels_.most();
  levels_.hold(most, now_ns());
  if (levels_.most() == before || transport_ == nullptr) return;
  // A hello says it.
  for (const std::string& node : others_) transport_->meet_again(node);
}

void Peers::link_levels(const peer::Hello& hello) {
  levels_.linked(hello.node_id, hello.levels, hello.level_most, now_ns());
  {
    const std::lock_guard lock(levels_mutex_);
    linked_[hello.node_id] = hello;
    misfits_.erase(hello.node_id);
  }
  part_from_misfits();
}

/// A link may be older than what is known of the level by now: the next handshake says why there
/// is none.
void Peers::part_from_misfits() {
  const peer::Hello own = own_hello();
  std::vector<std::string> nodes;
  {
    const std::lock_guard lock(levels_mutex_);
    for (const auto& [node, hello] : linked_) {
      if (!peer::misfit_of_levels(own, hello).empty()) nodes.push_back(node);
    }
    for (const std::string& node : nodes) linked_.erase(node);
  }
  for (const std::string& node : nodes) {
    if (transport_ != nullptr) transport_->meet_again(node);
  }
}

void Peers::know_level(FeatureLevel level) {
  levels_.set_level(level);
  log_info("cluster", fmt::format("the cluster's feature level is {}", level));
  const peer::Hello own = own_hello();
  // An earlier one may be followed by another entry; a later one never goes.
  if (level > own.levels.highest) become_misfit(peer::misfit_of_levels(own, own));
  part_from_misfits();
}

void Peers::on_misfit(const peer::Hello& peer, peer::Refusal why) {
  if (why != peer::Refusal::feature_level) return;
  const peer::Hello own = own_hello();
  std::string text = peer::misfit_of_levels(own, peer);
  const FeatureLevel level = std::max(own.level, peer.level);
  // Be it that the other one can't run it either, and knows it from its log.
  if (level != 0 && !own.levels.has(level)) return become_misfit(std::move(text));
  const std::lock_guard lock(levels_mutex_);
  misfits_[peer.node_id] = std::move(text);
}

/// For as long as it runs: the level never falls.
void Peers::become_misfit(std::string why) {
  const std::lock_guard lock(levels_mutex_);
  if (!fits_.exchange(false)) return;
  misfit_ = fmt::format(
      "cluster: {}; this node votes and leads nothing, it redirects, and what it answers waits in "
      "its spool, until it is started with a version that runs that level",
      why);
  log_error("cluster", misfit_);
}

std::string Peers::misfit() const {
  const std::lock_guard lock(levels_mutex_);
  return misfit_;
}

std::vector<std::string> Peers::misfits() const {
  const std::lock_guard lock(levels_mutex_);
  std::vector<std::string> lines;
  for (const auto& [node, why] : misfits_) {
    if (!why.empty()) lines.push_back(fmt::format("cluster: {} is not let in: {}", node, why));
  }
  return lines;
}

void Peers::raise_level(AdsGroup& ads) {
  std::vector<std::string> nodes = options_.nodes;
  for (const raft::Member& member : ads.replica().core().membership().all())
    nodes.push_back(member.node);
  std::sort(nodes.begin(), nodes.end());
  nodes.erase(std::unique(nodes.begin(), nodes.end()), nodes.end());
  if (nodes != nodes_in_) levels_.set_nodes(nodes);
  nodes_in_ = std::move(nodes);
  const auto due = levels_.due(now_ns());
  if (due && fits_) ads.record_level(*due);
}

}  // namespace clickmill::cluster
