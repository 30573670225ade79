#pragma once

#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/result.h"
#include "base/strong.h"

namespace clickmill::sinks {

/// How far each partition's log has arrived at a sink, in a file that holds the old positions
/// or the new ones after any crash. Never ahead of what was acknowledged; behind it by what was
/// acknowledged since the last save(), which is then sent again.
/// Thread: one at a time.
class Positions {
 public:
  /// A missing file: nothing has arrived yet. Errc::corrupt: it is damaged, and nobody knows.
  static Result<Positions> open(FileSystem& files, std::string path, size_t partitions);

  /// All up to there has arrived; 0: nothing.
  Offset of(PartitionId id) const { return arrived_[id.value()]; }
  void set(PartitionId id, Offset arrived);
  /// Makes them durable, if any has changed.
  Status save();

 private:
  Positions(FileSystem& files, std::string path, size_t partitions)
      : files_(&files), path_(std::move(path)), arrived_(partitions) {}

  FileSystem* files_;
  std::string path_;
  std::vector<Offset> arrived_;
  bool changed_ = false;
};

}  // namespace clickmill::sinks
