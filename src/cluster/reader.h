#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cluster/partition.h"
#include "cluster/worker.h"
#include "store/version.h"

namespace clickmill::cluster {

/// The partitions of this node and the workers that own them.
struct Owned {
  std::vector<std::unique_ptr<Worker>> workers;
  std::vector<std::unique_ptr<Partition>> partitions;  ///< by id

  Worker& worker_of(PartitionId id) { return *workers[id.value() % workers.size()]; }
};

/// Asks partitions for what a query needs, each in one step on its worker.
/// Thread: query (blocks until the workers have answered).
class Reader {
 public:
  explicit Reader(Owned& owned) : owned_(owned) {}
  /// One version per partition asked for. Errc::busy: still replaying, or the
  /// workers did not answer in time; Errc::closed: a partition has stopped.
  Result<std::vector<store::Version>> read(const std::vector<PartitionId>& ids,
                                           const store::Scan& scan) const;
  std::vector<PartitionId> all() const;

 private:
  Owned& owned_;
};

}  // namespace clickmill::cluster
