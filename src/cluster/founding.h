#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "cluster/founding_message.h"

namespace clickmill::cluster {

/// How nodes become one cluster, and never two.
///
///  - Empty nodes found one when every node of the config has said that it is empty, with the
///    same nodes, partitions and replication. The lowest node_id alone draws id and seed and
///    lists all storages as founders. It makes that durable before anybody hears of it.
///  - A node that holds data founds with its own seed and itself as the only founder, when all
///    others have said that they are empty. Two that hold data found nothing.
///  - An empty node becomes a member of the cluster of whoever offers it. It is a founder if its
///    storage is listed; else it joins, and is taken in by the groups' leaders.
///  - A silent node is waited for.
///
/// What a peer says counts only if it has heard of this very start (life), or the "empty" of
/// before a wiped founder's founding could found once more. While this node makes a
/// membership durable it is silent, since it is neither empty nor a member.
/// A member only answers; so does a founder: its offer is what it persisted, and an empty node
/// asks until it has one. Sound for nodes that are wiped one at a time.
///
/// The caller sends take_output()'s messages, calls persisted() once `persist` is durable,
/// and drops this object at a crash. Messages of a link that broke must not arrive later.
/// Thread: one at a time. No I/O, clock or random source of its own.
class Founding {
 public:
  struct Options {
    std::string node;
    std::vector<std::string> nodes;  ///< all of the config, this one included
    raft::StorageId storage;
    uint32_t partitions = 0;
    uint32_t replication = 0;
    uint64_t life = 0;               ///< random, not 0
    uint64_t seed = 0;               ///< own; the cluster's, if this node holds data
    std::function<uint64_t()> draw;  ///< for secrets
  };
  Founding(Options options, bool holds_data, std::optional<Founded> founded);

  /// Two to ten times a second.
  void tick();
  void receive(const std::string& from, const FoundingMessage& message);
  void link_up(const std::string& peer);
  void link_down(const std::string& peer);
  /// Output's `persist` is durable, the cluster's seed included.
  void persisted();
  /// It is not; tried again at the next tick.
  void not_persisted(const Error& error);

  struct Output {
    std::optional<Founded> persist;
    std::vector<std::pair<std::string, FoundingMessage>> messages;
  };
  Output take_output();

  /// This node is a member; durable.
  const std::optional<Founded>& founded() const { return founded_; }
  /// What keeps it from being one, a line for each reason; empty when it is.
  std::vector<std::string> why_waiting() const;

 private:
  struct Peer {
    uint64_t life = 0;                 ///< the newest heard of
    std::optional<Introduction> said;  ///< by that life, over the present link
    std::string refused;               ///< why its offer was
  };

  void take(const std::string& from, const Introduction& introduction);
  void take(const std::string& from, const Offer& offer);
  std::string why_not(const std::string& from, const Offer& offer) const;
  void found_if_agreed();
  bool agrees(const Peer& peer) const;
  Founded draw() const;
  void introduce(const std::string& to);
  void introduce_to_all();
  void offer(const std::string& to);
  std::string trouble_with(const std::string& node, const Peer& peer) const;
  std::string config_difference(const Introduction& said) const;
  std::vector<std::string> data_holders() const;

  const Options options_;
  const bool holds_data_;
  std::optional<Founded> founded_;
  std::optional<Founded> pending_;  ///< on its way to the disk
  bool persist_wanted_ = false;
  std::string persist_error_;
  std::map<std::string, Peer> peers_;
  Output out_;
};

}  // namespace clickmill::cluster
