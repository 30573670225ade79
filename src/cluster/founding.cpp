#include "cluster/founding.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.h"

namespace clickmill::cluster {
namespace {

Founding::Options sorted(Founding::Options options) {
  std::sort(options.nodes.begin(), options.nodes.end());
  return options;
}

}  // namespace

Founding::Founding(Options options, bool holds_data, std::optional<Founded> founded)
    : options_(sorted(std::move(options))), holds_data_(holds_data), founded_(std::move(founded)) {
  CM_ASSERT(options_.life != 0 && options_.storage != raft::StorageId(0));
  for (const std::string& node : options_.nodes) {
    if (node != options_.node) peers_[node];
  }
}

void Founding::tick() {
  if (founded_) return;
  if (pending_) {
    persist_wanted_ = true;
    return;
  }
  introduce_to_all();
  // A node of a cluster of one has nobody to hear from.
  found_if_agreed();
}

void Founding::receive(const std::string& from, const FoundingMessage& message) {
  if (peers_.count(from) == 0) return;
  std::visit([&](const auto& body) { take(from, body); }, message);
}

void Founding::link_up(const std::string& peer) {
  if (peers_.count(peer) > 0) introduce(peer);
}

void Founding::link_down(const std::string& node) {
  const auto at = peers_.find(node);
  if (at == peers_.end()) return;
  at->second.said.reset();
  at->second.refused.clear();
}

void Founding::take(const std::string& from, const Introduction& introduction) {
  Peer& peer = peers_.at(from);
  const bool is_new = peer.life != introduction.life;
  peer.life = introduction.life;
  peer.said = introduction;
  if (founded_) {
    // Whoever holds data must learn that it meets a cluster, to say so.
    if (introduction.holds == Holds::nothing) offer(from);
    if (introduction.holds == Holds::data) introduce(from);
    return;
  }
  // It waits for an answer that knows of it; the next tick would give it too.
  if (is_new) introduce(from);
  found_if_agreed();
}

void Founding::take(const std::string& from, const Offer& offer) {
  Peer& peer = peers_.at(from);
  if (founded_ || pending_ || offer.to_life != options_.life) return;
  // Of a former start of the sender, whose disk may have been wiped since.
  if (peer.life != 0 && peer.life != offer.life) return;
  peer.life = offer.life;
  peer.refused = why_not(from, offer);
  if (!peer.refused.empty()) return;
  pending_ = offer.founded;
  persist_wanted_ = true;
}

std::string Founding::why_not(const std::string& from, const Offer& offer) const {
  const Founded& founded = offer.founded;
  if (holds_data_) {
    return fmt::format(
        "{} belongs to cluster {:016x}, and {} holds data of its own; a node joins with an empty "
        "data_dir",
        from, founded.cluster_id, options_.node);
  }
  if (founded.partitions != options_.partitions) {
    return fmt::format("the cluster of {} has {} partitions, log.partitions says {}", from,
                       founded.partitions, options_.partitions);
  }
  for (const auto& [node, peer] : peers_) {
    if (peer.said && peer.said->cluster_id != 0 && peer.said->cluster_id != founded.cluster_id) {
      return fmt::format(
          "{} belongs to cluster {:016x} and {} to {:016x}; whom to join is for the "
          "operator to say",
          from, founded.cluster_id, node, peer.said->cluster_id);
    }
  }
  return {};
}

bool Founding::agrees(const Peer& peer) const {
  return peer.said && peer.said->heard_life == options_.life &&
         peer.said->holds == Holds::nothing && config_difference(*peer.said).empty();
}

void Founding::found_if_agreed() {
  if (founded_ || pending_) return;
  const bool is_the_one = holds_data_ || options_.nodes.front() == options_.node;
  if (!is_the_one || !std::all_of(peers_.begin(), peers_.end(),
                                  [&](const auto& one) { return agrees(one.second); })) {
    return;
  }
  pending_ = draw();
  persist_wanted_ = true;
}

Founded Founding::draw() const {
  Founded founded;
  while (founded.cluster_id == 0) founded.cluster_id = options_.draw();
  founded.partitions = options_.partitions;
  founded.seed = holds_data_ ? options_.seed : options_.draw();
  founded.founders = {{options_.node, options_.storage}};
  if (holds_data_) return founded;
  for (const auto& [node, peer] : peers_) founded.founders.push_back({node, peer.said->storage});
  // A directory that needs no such number can be read by programs that know none.
  if (options_.replication < founded.founders.size()) founded.copies = options_.replication;
  return founded;
}

void Founding::persisted() {
  CM_ASSERT(pending_.has_value());
  founded_ = std::move(pending_);
  pending_.reset();
  persist_wanted_ = false;
  persist_error_.clear();
  for (const auto& [node, peer] : peers_) {
    if (peer.life != 0) offer(node);
  }
}

void Founding::not_persisted(const Error& error) { persist_error_ = error.text(); }

Founding::Output Founding::take_output() {
  if (std::exchange(persist_wanted_, false)) out_.persist = pending_;
  return std::exchange(out_, {});
}

void Founding::introduce(const std::string& to) {
  if (pending_) return;
  Introduction introduction;
  introduction.life = options_.life;
  introduction.heard_life = peers_.at(to).life;
  introduction.holds = founded_ ? Holds::membership : holds_data_ ? Holds::data : Holds::nothing;
  introduction.cluster_id = founded_ ? founded_->cluster_id : 0;
  introduction.storage = options_.storage;
  introduction.nodes = options_.nodes;
  introduction.partitions = options_.partitions;
  introduction.replication = options_.replication;
  out_.messages.emplace_back(to, std::move(introduction));
}

void Founding::introduce_to_all() {
  for (const auto& [node, peer] : peers_) introduce(node);
}

void Founding::offer(const std::string& to) {
  // An offer of a start that the other hasn't heard of would be taken for a former one's.
  introduce(to);
  out_.messages.emplace_back(to, Offer{options_.life, peers_.at(to).life, *founded_});
}

std::string Founding::config_difference(const Introduction& said) const {
  if (said.nodes != options_.nodes) {
    return fmt::format("its cluster.peers are {}, here they are {}", fmt::join(said.nodes, ", "),
                       fmt::join(options_.nodes, ", "));
  }
  if (said.partitions != options_.partitions) {
    return fmt::format("its log.partitions is {}, here it is {}", said.partitions,
                       options_.partitions);
  }
  if (said.replication != options_.replication) {
    return fmt::format("its cluster.replication is {}, here it is {}", said.replication,
                       options_.replication);
  }
  return {};
}

std::string Founding::trouble_with(const std::string& node, const Peer& peer) const {
  if (!peer.refused.empty()) return peer.refused;
  if (!peer.said) return node + " has not answered yet";
  if (peer.said->holds == Holds::membership) {
    if (!holds_data_) return node + " belongs to a cluster and has not offered it to this node yet";
    return fmt::format(
        "{} belongs to cluster {:016x}, and {} holds data of its own; a node joins with an empty "
        "data_dir",
        node, peer.said->cluster_id, options_.node);
  }
  if (const auto difference = config_difference(*peer.said); !difference.empty())
    return node + ": " + difference;
  if (peer.said->heard_life != options_.life) return node + " has not heard this node yet";
  return {};
}

std::vector<std::string> Founding::data_holders() const {
  std::vector<std::string> holders;
  for (const std::string& node : options_.nodes) {
    const auto peer = peers_.find(node);
    const bool holds = peer == peers_.end()
                           ? holds_data_
                           : peer->second.said && peer->second.said->holds == Holds::data;
    if (holds) holders.push_back(node);
  }
  return holders;
}

std::vector<std::string> Founding::why_waiting() const {
  std::vector<std::string> reasons;
  if (founded_) return reasons;
  if (pending_) {
    reasons.push_back(persist_error_.empty() ? "the membership is being made durable"
                                             : "the membership can't be saved: " + persist_error_);
    return reasons;
  }
  const auto holders = data_holders();
  if (holders.size() > 1) {
    reasons.push_back(
        fmt::format("{} hold data and belong to no common cluster; all but one must "
                    "start with an empty data_dir",
                    fmt::join(holders, " and ")));
  }
  for (const auto& [node, peer] : peers_) {
    if (auto trouble = trouble_with(node, peer); !trouble.empty())
      reasons.push_back(std::move(trouble));
  }
  if (reasons.empty()) {
    const std::string& founder = holders.empty() ? options_.nodes.front() : holders.front();
    reasons.push_back(founder == options_.node ? "all have answered, the cluster is being founded"
                                               : founder + " has not founded the cluster yet");
  }
  return reasons;
}

}  // namespace clickmill::cluster
