#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "cluster/elsewhere.h"
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
  /// `elsewhere`: borrowed; null: only what is on this node is read.
  explicit LogReader(Owned& owned, const Elsewhere* elsewhere = nullptr)
      : owned_(owned), elsewhere_(elsewhere) {}

  size_t partitions() const { return owned_.partitions.size(); }
  /// First, last and committed offset.
  Result<Partition::State> state(PartitionId id) const;
  /// Committed entries from the one that holds `from` (or the first after it)
  /// on: those of one block, or about `max_bytes` of the unsealed ones. Empty
  /// when nothing is committed there yet. What retention drops meanwhile is passed over.
  Result<Partition::Entries> read(PartitionId id, Offset from, size_t max_bytes) const;
  /// The first offset that retention has left on this node. Thread: any.
  Offset first(PartitionId id) const;
  /// The same of where it is read.
  Result<Offset> kept_from(PartitionId id) const;
  /// An offset before which all log time is older than `time`.
  Result<Offset> find_time(PartitionId id, LogMs time) const;

  /// Calls `wake` once, on the worker or here: when `from` is committed, when the
  /// monotonic clock reaches `deadline_ns`, when too many wait, or when the node
  /// stops. It must only hand its work on. Thread: any.
  void follow(PartitionId id, Offset from, int64_t deadline_ns, TailReaders::Wake wake) const;
  /// Wakes everybody, and nobody waits any more: the node stops. Thread: any.
  void end_following() const;

 private:
  bool elsewhere(PartitionId id) const { return elsewhere_ != nullptr && elsewhere_->is(id); }
  Result<Partition::Entries> read_here(PartitionId id, Offset from, size_t max_bytes) const;
  Result<Offset> find_time_here(PartitionId id, LogMs time) const;
  void follow_there(PartitionId id, Offset from, int64_t deadline_ns, TailReaders::Wake wake) const;

  Owned& owned_;
  const Elsewhere* const elsewhere_;
};

}  // namespace clickmill::cluster
