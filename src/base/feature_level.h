#pragma once

#include <cstdint>

namespace clickmill {

/// What an earlier version could not read, be it in the logs that nodes have in common, in the
/// states and blocks that they give each other to keep, or in a node's own files: each step of it
/// has a number, and is written only once the whole cluster is at it (cluster/level_watch.h).
/// Until then every node can go back to the version that it came from.
///
///   1  all that there was before levels
///   2  the ads' log records the cluster's level
///
/// Whoever adds a step raises kFeatureLevels.highest, adds its line above and asks for the
/// cluster's level where the new bytes are written. What an entry makes a stream do must depend
/// on the log alone, so a new behaviour there begins with an entry that says so, and never with
/// the level as a node happens to know it: else replicas would count differently. Messages
/// between nodes are no matter of levels but of the link's protocol (peer/handshake.h).
using FeatureLevel = uint16_t;

/// Those that a program can run: read and write all of.
struct FeatureLevels {
  FeatureLevel lowest = 1;
  FeatureLevel highest = 1;
  bool has(FeatureLevel level) const { return lowest <= level && level <= highest; }
  friend bool operator==(const FeatureLevels&, const FeatureLevels&) = default;
};

constexpr FeatureLevel kLevelIsRecorded = 2;
/// This program's.
constexpr FeatureLevels kFeatureLevels{1, 2};

}  // namespace clickmill
