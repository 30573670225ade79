#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <limits>
#include <mutex>
#include <string>
#include <vector>

#include "cluster/owned.h"

namespace clickmill::cluster {

/// What other threads may know of the partitions, told by their workers.
/// Thread: any. The mutex guards the copies between workers and readers.
class PartitionStatus {
 public:
  struct Share {
    dedup::Dedup::Usage dedup;
    uint64_t head_rows = 0;
    uint64_t head_bytes = 0;
    uint64_t log_bytes = 0;
    size_t tail_readers = 0;
    bool rebuilding = false;
    std::vector<std::string> damaged_parts;
    LogHour oldest_durable_hour{std::numeric_limits<int64_t>::min()};
    Partition::Pauses pauses;
    Partition::Upkeep upkeep;
    std::array<size_t, stream::Parts::kLevels> parts{};  ///< by size class
    JournalPos oldest_needed;
    Offset checkpointed;  ///< covered by the stream's durable checkpoint
    LogMs log_time;
    Partition::State::Gear gear;
    bool caught_up = false;
    bool votes = false;  ///< of a group, or alone: what it has counts
    bool leads = false;
    bool leaderless = false;  ///< no other node is known to lead it either
    uint64_t leads_taken = 0;
    std::string failure;
    std::string trouble;
    std::string difference;
  };
  explicit PartitionStatus(size_t partitions) : shares_(partitions) {}
  /// `current_begin`: begin of the journal's current file, taken before this call.
  void update(Partition& partition, JournalPos current_begin);
  JournalPos oldest_needed() const;
  Share share(size_t partition) const;
  /// Log hours before it are in no partition's durable state.
  LogHour oldest_durable_hour() const;
  /// Sum over partitions of what `read` takes from each.
  double sum(const std::function<double(const Share&)>& read) const;
  /// Highest of what `read` takes from each.
  double highest(const std::function<double(const Share&)>& read) const;
  /// Whether what each tells of itself is all of its log.
  bool all_caught_up() const;
  /// Why the partitions are not ready; empty: they are.
  std::vector<std::string> reasons() const;
  /// What an operator should know though they are.
  std::vector<std::string> warnings() const;

 private:
  mutable std::mutex mutex_;
  std::vector<Share> shares_;
};

}  // namespace clickmill::cluster
