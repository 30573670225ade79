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

/// Where everything stands in a data directory:
///   node, LOCK, catalog, upkeep, retention, journal/, log/<partition>/, state/, ids/, store/,
///   and of a node with peers cluster, members/<partition>, seen, and claim for a while
struct DataPaths {
  std::string root;

  std::string journal() const { return root + "/journal"; }
  std::string log(uint32_t partition) const;
  /// Who is in the partitions' groups.
  std::string members() const { return root + "/members"; }
  std::string members(uint32_t partition) const {
    return members() + "/" + std::to_string(partition);
  }
  std::string state() const { return root + "/state"; }
  std::string ids() const { return root + "/ids"; }
  std::string store() const { return root + "/store"; }
  /// There while `clickmill recover --clock` has not come to its end.
  std::string setting_clock() const { return root + "/setting-clock"; }
};

/// The locked data directory of one running node.
class DataDir {
 public:
  /// Makes the directory or checks that it is this node's. Errc::busy: another
  /// process has it; Errc::invalid: node_id or partitions differ from config,
  /// or a newer version wrote it, or its clock is half set back; Errc::corrupt: the node
  /// file is damaged.
  static Result<std::unique_ptr<DataDir>> open(FileSystem& files, const std::string& path,
                                               const std::string& node_id, uint32_t partitions);
  /// Opens one that a node has made, whatever its node_id, and changes nothing in it.
  /// Errc::not_found: there is none; the others as above.
  static Result<std::unique_ptr<DataDir>> open_existing(FileSystem& files, const std::string& path);
  const NodeFile& node() const { return node_; }
  /// Takes over the seed of the cluster that the node joins; durable when it returns. Only
  /// while nothing was hashed with the own one: `holds_records` tells whether the journal or
  /// the log holds any (Errc::invalid then, unless the two are equal). Before the node's
  /// cluster file is saved, or a crash between the two leaves a member with a seed of its own.
  Status adopt_seed(FileSystem& files, uint64_t seed, bool holds_records);
  const DataPaths& paths() const { return paths_; }
  const std::string& path() const { return paths_.root; }
  std::string journal() const { return paths_.journal(); }
  std::string log(uint32_t partition) const { return paths_.log(partition); }
  std::string state() const { return paths_.state(); }
  std::string ids() const { return paths_.ids(); }
  std::string store() const { return paths_.store(); }

 private:
  DataDir(std::string path, std::unique_ptr<FileLock> lock)
      : paths_{std::move(path)}, lock_(std::move(lock)) {}
  DataPaths paths_;
  std::unique_ptr<FileLock> lock_;
  NodeFile node_;
};

}  // namespace clickmill::engine
