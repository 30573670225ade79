#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/file_system.h"
#include "state/slots.h"
#include "state/store.h"
#include "store/part.h"
#include "store/retention.h"
#include "stream/checkpoint.h"
#include "tools/offline_log.h"

namespace clickmill::tools {

/// The data directory of a node that doesn't run, for commands that look at it.
/// Holds its lock, so that no node starts meanwhile, and changes nothing in it.
/// Thread: one.
class OfflineNode {
 public:
  /// Errc::busy: a node runs on it. Errc::not_found: no data directory. Errc::corrupt:
  /// its log is damaged.
  /// `progress` is borrowed and outlives it.
  static Result<std::unique_ptr<OfflineNode>> open(FileSystem& files, const std::string& path,
                                                   Progress& progress);

  const engine::NodeFile& node() const { return log_->node(); }

  /// What the partition's last checkpoint says, its parts and head rows as of then.
  struct Stored {
    stream::Checkpoint checkpoint;
    std::vector<store::Row> rows;  ///< minute rows that match, sorted, summed by key
  };
  Result<Stored> stored(PartitionId partition, const store::Scan& scan);

  /// What retention has deleted of the tables.
  Result<store::TableTimes> deleted_before() const;

  /// The partition's entries up to `last`, oldest first. Errc::corrupt when some are missing.
  Status visit_log(PartitionId partition, Offset last,
                   const std::function<Status(const log::Entry&)>& visit);

 private:
  OfflineNode(FileSystem& files, std::string path) : files_(files), path_(std::move(path)) {}
  Status read_parts(const stream::Checkpoint& checkpoint, const store::Scan& scan,
                    std::vector<store::Row>& out);
  Status read_head(state::Slot slot, const store::Scan& scan, std::vector<store::Row>& out);

  FileSystem& files_;
  const std::string path_;
  std::unique_ptr<OfflineLog> log_;  ///< and with it the directory's lock
  std::unique_ptr<state::Store> state_;
};

}  // namespace clickmill::tools
