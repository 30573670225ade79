#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/strong.h"
#include "cluster/clearing.h"
#include "stream/checkpoint.h"

namespace clickmill::cluster {

/// What a node tells each peer about once a second: how far its counts are, and what they came to;
/// and of disks, what Clearing wants.
struct Standing {
  Clearing::Told disk;
  struct Of {
    Offset applied;
    stream::Digest newest;  ///< Pipeline::agreed(); offset 0: none since its start
    friend bool operator==(const Of&, const Of&) = default;
  };
  std::vector<Of> partitions;  ///< all, by number

  friend bool operator==(const Standing&, const Standing&) = default;
};

// Format: top of agreement.cpp. Errc::invalid for anything that no encode() gave.
std::string encode(const Standing& standing);
Result<Standing> decode_standing(std::string_view bytes);

/// Whether the nodes' counts are the same, as they must be: each applies the same entries.
/// Compared is the newest point that both of two nodes have told of.
///
/// Of three nodes of which two agree the third is wrong. Of two that differ, or three that all
/// do, nobody can say which is right.
/// Thread: any. The mutex guards all.
class Agreement {
 public:
  Agreement(std::string self, uint32_t partitions);

  /// Own counts of a partition; the points oldest first.
  void note(PartitionId partition, const std::deque<stream::Digest>& points, Offset applied);
  /// To be told to the peers, but for the disk.
  Standing standing() const;
  /// One of another number of partitions is left out.
  void heard(const std::string& node, const Standing& standing);

  struct Verdict {
    /// Nodes whose counts differ from what most came to, sorted; if nobody can say, all that
    /// don't agree.
    std::vector<std::string> wrong;
    bool known = false;   ///< who is
    bool agrees = false;  ///< this node, with another one
    Offset at;            ///< of the comparison that shows it
    /// The own counts must not be answered from.
    bool is_wrong(const std::string& node) const;
  };
  Verdict verdict(PartitionId partition) const;
  /// A line for each set of nodes that differ.
  std::vector<std::string> warnings() const;
  /// How far other nodes said that they are.
  std::vector<std::pair<std::string, Offset>> applied(PartitionId partition) const;

 private:
  using Points = std::map<Offset, uint64_t>;
  struct Counts {
    Points points;
    Offset applied;
  };
  static std::optional<std::pair<Offset, bool>> compare(const Points& a, const Points& b);

  const std::string self_;
  const uint32_t partitions_;
  mutable std::mutex mutex_;
  std::map<std::string, std::vector<Counts>> nodes_;  ///< this one too
};

}  // namespace clickmill::cluster
