#pragma once

#include <memory>
#include <string>

#include "base/file_system.h"

namespace clickmill::engine {

/// What a data directory is, fixed when it is made: file `node` in it (JSON).
struct NodeFile {
  uint32_t format_version = 1;
  std::string node_id;
  uint32_t partitions = 64;
  uint64_t seed = 0;  ///< secret; hashes ids and visitors
};

/// The locked data directory of one running node.
///   node, LOCK, catalog, journal/, log/<partition>/, state/, ids/, store/
class DataDir {
 public:
  /// Makes the directory or checks that it is this node's. Errc::busy: another
  /// process has it; Errc::invalid: node_id or partitions differ from config,
  /// or a newer version wrote it; Errc::corrupt: the node file is damaged.
  static Result<std::unique_ptr<DataDir>> open(FileSystem& files, const std::string& path,
                                               const std::string& node_id, uint32_t partitions);
  /// Opens one that a node has made, whatever its node_id, and changes nothing in it.
  /// Errc::not_found: there is none; the others as above.
  static Result<std::unique_ptr<DataDir>> open_existing(FileSystem& files, const std::string& path);
  const NodeFile& node() const { return node_; }
  const std::string& path() const { return path_; }
  std::string journal() const { return path_ + "/journal"; }
  std::string log(uint32_t partition) const;
  std::string state() const { return path_ + "/state"; }
  std::string ids() const { return path_ + "/ids"; }
  std::string store() const { return path_ + "/store"; }

 private:
  DataDir(std::string path, std::unique_ptr<FileLock> lock)
      : path_(std::move(path)), lock_(std::move(lock)) {}
  std::string path_;
  std::unique_ptr<FileLock> lock_;
  NodeFile node_;
};

}  // namespace clickmill::engine
