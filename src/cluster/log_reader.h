#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "cluster/owned.h"
#include "log/entry.h"

namespace clickmill::cluster {

/// Reads partitions' committed logs for others than the stream: as they are, in
/// order, with gaps where something was dropped.
/// Sealed entries are read and decoded on the calling thread; a worker is only
/// asked, by message, for what is not sealed yet.
/// Thread: query (may block on the disk or for a worker's answer), except as noted.
class LogReader {
 public:
  explicit LogReader(Owned& owned) : owned_(owned) {}

  size_t partitions() const { return owned_.partitions.size(); }
  /// First, last and committed offset.
  Result<Partition::State> state(PartitionId id) const;
  /// Committed entries from the one that holds `from` (or the first after it)
  /// on: those of one block, or about `max_bytes` of the unsealed ones. Empty
  /// when nothing is committed there yet. What retention drops meanwhile is passed over.
  Result<Partition::Entries> read(PartitionId id, Offset from, size_t max_bytes) const;
  /// The first offset that retention has left. Thread: any.
  Offset first(PartitionId id) const;
  /// An offset before which all log time is older than `time`.
  Result<Offset> find_time(PartitionId id, LogMs time) const;

  /// Calls `wake` once, on the worker or here: when `from` is committed, when the
  /// monotonic clock reaches `deadline_ns`, when too many wait, or when the node
  /// stops. It must only hand its work on. Thread: any.
  void follow(PartitionId id, Offset from, int64_t deadline_ns, TailReaders::Wake wake) const;
  /// Wakes everybody, and nobody waits any more: the node stops. Thread: any.
  void end_following() const;

 private:
  Owned& owned_;
};

}  // namespace clickmill::cluster
