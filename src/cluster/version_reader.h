#pragma once

#include <vector>

#include "cluster/elsewhere.h"
#include "cluster/owned.h"
#include "cluster/position.h"
#include "store/version.h"

namespace clickmill::cluster {

/// Asks partitions for what a query needs, each in one step on its worker.
/// Thread: query (blocks until the workers have answered).
class VersionReader {
 public:
  /// `elsewhere`: borrowed, for states(); null: they are of what is on this node.
  explicit VersionReader(Owned& owned, const Elsewhere* elsewhere = nullptr)
      : owned_(owned), elsewhere_(elsewhere) {}
  /// One version per partition asked for. Errc::busy: still replaying, or the
  /// workers did not answer in time; Errc::closed: a partition has stopped.
  Result<std::vector<store::Version>> read(const std::vector<PartitionId>& ids,
                                           const store::Scan& scan) const;
  /// The same, once they hold at least what the position says: waits for 200 ms. Errc::busy:
  /// they don't.
  Result<std::vector<store::Version>> read(const std::vector<PartitionId>& ids,
                                           const store::Scan& scan, const Position& at_least) const;
  /// To be told of an error that reading a version's rows gave: a partition whose part
  /// is damaged hears of it, and heals. What to answer: Errc::busy naming the partition
  /// for damage, else the error itself.
  Error report(Error error) const;
  /// How far every partition is; while they replay and after a failure too. Of those that are
  /// elsewhere what a node that has them says; where none does, `known` is false.
  Result<std::vector<Partition::State>> states() const;
  std::vector<PartitionId> all() const { return owned_.all(); }

 private:
  void add_elsewhere(std::vector<Partition::State>& states) const;

  Owned& owned_;
  const Elsewhere* const elsewhere_;
};

}  // namespace clickmill::cluster
