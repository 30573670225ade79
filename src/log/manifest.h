#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "log/segment.h"

namespace clickmill::log {

/// What a partition's sealed log consists of. Plain data; offsets have no gaps.
struct Contents {
  Offset dropped_last;  ///< everything up to here was dropped; 0: nothing
  Term dropped_term;    ///< term of that entry
  LogMs dropped_ms;     ///< its log time; 0: not known
  std::vector<SegmentInfo> closed;
  std::vector<BlockInfo> open;  ///< blocks of the segment that is still written to

  bool empty() const { return closed.empty() && open.empty(); }
  Offset first() const;
  Offset last() const;
  Term last_term() const;
  LogMs last_append_ms() const;  ///< 0: not known, or nothing was ever there
  uint64_t bytes() const;
  friend bool operator==(const Contents&, const Contents&) = default;
};

/// One change of the contents.
struct Edit {
  enum class Kind : uint8_t {
    base = 1,   ///< what was dropped before: last offset, its term and time; first edit only
    block = 2,  ///< a block more in the open segment, which it may begin
    close = 3,  ///< the open segment got its footer; its blocks need not be listed
    drop = 4,   ///< the first segment is gone
  };
  Kind kind = Kind::base;
  Offset segment;      ///< first offset of the segment concerned
  BlockInfo block;     ///< of block
  SegmentInfo closed;  ///< of close; base uses last, last_term and max_append_ms

  static Edit add(Offset segment, const BlockInfo& block) {
    return {Kind::block, segment, block, {}};
  }
  static Edit close(const SegmentInfo& info) { return {Kind::close, info.first, {}, info}; }
  static Edit drop(Offset segment) { return {Kind::drop, segment, {}, {}}; }
};

/// False, and nothing changed, for an edit that can't come next.
bool apply(Contents& contents, const Edit& edit);

struct ParsedManifest {
  Contents contents;
  uint64_t end = 0;           ///< byte behind the last good edit
  uint64_t durable_upto = 0;  ///< every byte before was synced once
  bool cut = false;           ///< something torn followed
};
/// Errc::corrupt with `path` and byte; Errc::invalid for a newer version.
Result<ParsedManifest> parse_manifest(std::string_view bytes, const std::string& path);

/// The list of a partition's segments and open blocks, kept as an append-only
/// file of edits. Format: top of manifest.cpp.
///
/// A torn tail (the rest of an append that a crash interrupted) is left out;
/// damage before it is an error. What contents() lists is durable, also right
/// after open: the last append of an earlier process may be in the page cache
/// alone, its sync failed, so open writes it a second time. A torn file is written
/// anew as a whole; so it is by the first append after a failed one, and by one
/// that finds the file far larger than needed.
/// Thread: background.
class Manifest {
 public:
  /// Writes one that lists the contents, durably.
  static Status create(FileSystem& files, const std::string& path, const Contents& contents);
  static Result<std::unique_ptr<Manifest>> open(FileSystem& files, const std::string& path);

  const Contents& contents() const { return contents_; }
  /// Makes sure that the file lists contents() and nothing else. To be called
  /// before bytes are changed that an unfinished edit may list. Durable on success.
  Status prepare();
  /// Appends all edits, durably, and applies them. Calls prepare() if need be.
  /// Errors: contents() is as before; the edits may or may not be there after a crash.
  Status append(std::span<const Edit> edits);
  /// Lists other contents from now on, durably; errors: as of append().
  Status replace(const Contents& contents);

 private:
  Manifest(FileSystem& files, std::string path) : files_(files), path_(std::move(path)) {}

  FileSystem& files_;
  std::string path_;
  Contents contents_;
  std::unique_ptr<File> file_;  ///< empty: the file must be written anew first
  uint64_t end_ = 0;
};

}  // namespace clickmill::log
