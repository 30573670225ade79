#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/file_system.h"

namespace clickmill::tools {

/// A folder that is a backup: `backup.json`, which lists everything, and `data/`, laid out as
/// a data directory. While it is made its name ends in `.partial`, and it has no list.
struct BackupPaths {
  std::string folder;
  std::string manifest() const { return folder + "/backup.json"; }
  std::string data() const { return folder + "/data"; }
  std::string partial() const { return folder + ".partial"; }
};

struct BackedUpFile {
  std::string path;  ///< below data/
  uint64_t bytes = 0;
  uint64_t checksum = 0;   ///< FileChecksum
  bool immutable = false;  ///< never written in place by a node: may be shared by hard links
  friend bool operator==(const BackedUpFile&, const BackedUpFile&) = default;
};

struct BackupManifest {
  int64_t made_ms = 0;  ///< what was answered before is in it
  std::string version;  ///< of the program that made it
  std::string node_id;
  uint32_t partitions = 0;
  std::string cluster_id;          ///< 16 hex digits; empty: of a node alone
  std::vector<std::string> notes;  ///< what it lacks
  std::vector<BackedUpFile> files;
  uint64_t bytes() const;
  friend bool operator==(const BackupManifest&, const BackupManifest&) = default;
};

/// Of a file's bytes, given in whatever pieces.
class FileChecksum {
 public:
  void add(std::string_view bytes);
  uint64_t value() const;

 private:
  uint64_t value_ = 0;
  std::string piece_;
};

/// Format: top of backup_manifest.cpp.
std::string to_text(const BackupManifest& manifest);
/// Errc::corrupt for damage, a path that leads out of the folder included; Errc::invalid for a
/// newer version. `path` is for the message.
Result<BackupManifest> parse_manifest(const std::string& text, const std::string& path);
/// Of a folder. Errc::not_found: it is no backup, or one that was never finished.
Result<BackupManifest> read_manifest(FileSystem& files, const BackupPaths& backup);

}  // namespace clickmill::tools
