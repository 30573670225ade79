#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "cluster/founded.h"

namespace clickmill::engine {

/// Who a node is to others: file `cluster` of its data directory. Format: top of
/// cluster_file.cpp. Written as a whole, so that a crash leaves the old one or the new; what
/// was saved is durable. After an error the file holds one or the other, and this object the old.
/// Thread: one at a time.
class ClusterFile {
 public:
  /// Reads the file of this data directory, or makes one with a storage id that nobody ever
  /// had. Errc::corrupt: it is damaged; Errc::invalid: a newer version wrote it.
  static Result<std::unique_ptr<ClusterFile>> open_or_make(FileSystem& files,
                                                           const std::string& data_dir);

  raft::StorageId storage_id() const { return kept_.storage; }
  /// Nothing: the node belongs to no cluster yet.
  const std::optional<cluster::Founded>& founded() const { return kept_.founded; }
  struct Former {
    raft::StorageId storage;
    std::string reason;  ///< it was given up, for people
    friend bool operator==(const Former&, const Former&) = default;
  };
  /// Storage ids that the node had, the last ones of many; oldest first.
  const std::vector<Former>& former() const { return kept_.former; }

  /// Forced recoveries that led here, oldest first.
  const std::vector<cluster::Epoch>& epochs() const { return kept_.epochs; }
  /// Another node has gone on without this one, by force.
  struct LeftBehind {
    std::string by;  ///< node_id
    uint64_t epoch = 0;
    friend bool operator==(const LeftBehind&, const LeftBehind&) = default;
  };
  const std::optional<LeftBehind>& left_behind() const { return kept_.left_behind; }

  Status save(const cluster::Founded& founded);
  /// The node belongs to this epoch of its cluster from here on.
  Status save(const cluster::Lineage& lineage);
  Status leave_behind(const LeftBehind& left_behind);
  /// The node may have forgotten a promise: it goes on as another storage.
  Status renew_storage_id(const std::string& reason);

  /// What the file holds.
  struct Kept {
    raft::StorageId storage;
    std::optional<cluster::Founded> founded;
    std::vector<Former> former;
    std::vector<cluster::Epoch> epochs;
    std::optional<LeftBehind> left_behind;
  };

 private:
  ClusterFile(FileSystem& files, std::string path) : files_(files), path_(std::move(path)) {}
  Status write(Kept kept);

  FileSystem& files_;
  const std::string path_;
  Kept kept_;
};

}  // namespace clickmill::engine
