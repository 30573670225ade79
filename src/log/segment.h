#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "log/compression.h"
#include "log/entry.h"

namespace clickmill {
class ByteCursor;
class ByteWriter;
}  // namespace clickmill

namespace clickmill::log {

/// Where a block stands in its segment, and what it holds.
struct BlockInfo {
  Offset first;
  Offset last;
  uint64_t position = 0;  ///< byte in the file
  LogMs min_append_ms;
  LogMs max_append_ms;
  Term last_term;
  uint32_t size = 0;          ///< on disk, header included
  uint32_t raw_size = 0;      ///< decompressed
  uint64_t checksum = 0;      ///< of header and stored bytes; differs from place to place
  uint64_t raw_checksum = 0;  ///< of the decompressed bytes; equal on all replicas

  uint64_t end() const { return position + size; }
  friend bool operator==(const BlockInfo&, const BlockInfo&) = default;
};

/// A closed segment: everything but its block index, which is in its footer.
struct SegmentInfo {
  Offset first;
  Offset last;
  LogMs min_append_ms;
  LogMs max_append_ms;
  Term last_term;
  uint64_t bytes = 0;  ///< of the file
  uint64_t footer_position = 0;
  uint64_t footer_checksum = 0;
  uint64_t blocks = 0;

  friend bool operator==(const SegmentInfo&, const SegmentInfo&) = default;
};

inline constexpr size_t kBlockInfoBytes = 72;
inline constexpr size_t kSegmentInfoBytes = 72;
inline constexpr uint64_t kSegmentHeaderBytes = 32;

/// The same bytes stand in footers and manifests.
void write_info(ByteWriter& writer, const BlockInfo& info);
void write_info(ByteWriter& writer, const SegmentInfo& info);
BlockInfo read_block_info(ByteCursor& cursor);
SegmentInfo read_segment_info(ByteCursor& cursor);

/// `00000000000000081920.segment`
std::string segment_name(Offset first);
/// Empty when the name is none of ours.
std::optional<Offset> parse_segment_name(std::string_view name);

/// Number of entries at the front that belong to one block; 0 for none.
size_t block_length(std::span<const Entry> entries);

/// Appends blocks to one segment file. Nothing is durable before sync(), and a
/// new file's name not before its folder is synced, which is the caller's.
/// Errors: after one the writer is of no use; resume() starts again from what is listed.
/// Thread: background.
class SegmentWriter {
 public:
  /// Makes or empties the file.
  static Result<std::unique_ptr<SegmentWriter>> create(FileSystem& files, const std::string& path,
                                                       Offset first);
  /// Goes on behind the blocks that the manifest lists; cuts off what follows them.
  static Result<std::unique_ptr<SegmentWriter>> resume(FileSystem& files, const std::string& path,
                                                       std::vector<BlockInfo> blocks);

  /// `entries`: one block.
  Result<BlockInfo> add(std::span<const Entry> entries, const Codec& codec,
                        Compression compression);
  /// Writes the footer; afterwards only sync() may be called.
  Result<SegmentInfo> close();
  Status sync() { return file_->sync(); }
  Offset first() const { return first_; }
  /// Log time at which its first block begins; empty: it has none yet.
  std::optional<LogMs> begin_ms() const {
    if (blocks_.empty()) return std::nullopt;
    return blocks_.front().min_append_ms;
  }
  /// Length of the file so far.
  uint64_t bytes() const { return end_; }

 private:
  SegmentWriter(std::unique_ptr<File> file, Offset first) : file_(std::move(file)), first_(first) {}

  std::unique_ptr<File> file_;
  Offset first_;
  uint64_t end_ = 0;
  std::vector<BlockInfo> blocks_;
};

/// Reads one segment file. What it is asked for comes from the manifest or the
/// footer, and must be what the file says.
/// Errors: Errc::corrupt with file and byte; Errc::not_found when there is no file.
/// Thread: one at a time; opening costs one system call.
class SegmentReader {
 public:
  static Result<SegmentReader> open(FileSystem& files, const std::string& path, Offset first);

  Result<std::vector<Entry>> read_block(const BlockInfo& info, const Codec& codec) const;
  Result<std::vector<BlockInfo>> read_footer(const SegmentInfo& info) const;
  /// Without anything known of it: the block at `position` if a whole one stands there,
  /// and the segment if it was closed. A block's entries are not decoded.
  Result<std::optional<BlockInfo>> find_block(uint64_t position) const;
  Result<std::optional<SegmentInfo>> find_footer() const;
  /// The parts that reading entries doesn't need.
  Status check_header() const;
  Status check_trailer(const SegmentInfo& info) const;

 private:
  SegmentReader(std::unique_ptr<File> file, Offset first) : file_(std::move(file)), first_(first) {}
  Result<std::string> read(uint64_t position, uint64_t size) const;
  Error corrupt(uint64_t position, std::string message) const;

  std::unique_ptr<File> file_;
  Offset first_;
};

}  // namespace clickmill::log
