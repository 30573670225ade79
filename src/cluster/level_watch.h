#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/feature_level.h"

namespace clickmill::cluster {

/// When a cluster's feature level rises: once every node that is in has been linked and has said
/// for a while, without a break, that it can run the next one, and that its operator lets it. It
/// never falls. A node that is away, or of an earlier version, is waited for without end: it may
/// come back, or be set back, with what it has.
///
/// What a peer says of itself comes with each link. The leader of the ads records what due()
/// says; any node can tell why it doesn't rise.
/// Times are monotonic. Thread: any; the mutex guards all.
class LevelWatch {
 public:
  struct Options {
    std::string node;            ///< the own one
    FeatureLevels levels;        ///< of this program
    FeatureLevel most = 0;       ///< see hold()
    int64_t steady_ms = 60'000;  ///< for so long they all say so
  };
  LevelWatch(Options options, int64_t now_ns);

  /// The operator lets it rise no further than this; 0: as far as it can.
  void hold(FeatureLevel most, int64_t now_ns);
  /// Of what it can run, what the operator lets it rise to.
  FeatureLevel most() const;

  void linked(const std::string& peer, FeatureLevels levels, FeatureLevel most, int64_t now_ns);
  void parted(const std::string& peer, int64_t now_ns);
  /// All that are in, this node included: of the config, and of the ads' group.
  void set_nodes(std::vector<std::string> nodes);
  /// As recorded.
  void set_level(FeatureLevel level);
  /// 0: none, as far as this node knows.
  FeatureLevel recorded() const;
  /// That the cluster is at. What it asks for may be written.
  FeatureLevel level() const;

  /// What is to be recorded now.
  std::optional<FeatureLevel> due(int64_t now_ns) const;

  struct Node {
    std::optional<FeatureLevels> levels;  ///< as it said last; nothing: never
    FeatureLevel most = 0;                ///< it lets the cluster rise to
    /// Why the level can't rise to the next one yet; empty: not because of this node.
    std::string waits;
  };
  struct View {
    FeatureLevel level = 1;
    /// The highest that any node runs, if it is higher.
    std::optional<FeatureLevel> next;
    std::map<std::string, Node> nodes;  ///< that are in
  };
  View view(int64_t now_ns) const;

 private:
  struct Said {
    FeatureLevels levels;
    FeatureLevel most = 0;
    bool linked = false;
    int64_t since_ns = 0;  ///< that it has been linked, or away
  };
  FeatureLevel own_most() const;
  std::string waits_for(const std::string& node, FeatureLevel next, int64_t now_ns) const;

  const Options options_;
  mutable std::mutex mutex_;
  const int64_t born_ns_;
  FeatureLevel hold_;
  FeatureLevel level_ = 0;
  std::vector<std::string> nodes_;
  std::map<std::string, Said> said_;  ///< this node too
};

}  // namespace clickmill::cluster
