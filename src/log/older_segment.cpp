#include "log/older_segment.h"

#include <fmt/format.h>

namespace clickmill::log {

Result<std::unique_ptr<OlderSegment>> OlderSegment::begin(FileSystem& files, std::string path,
                                                          Offset first, const Codec& codec,
                                                          Compression compression) {
  std::unique_ptr<OlderSegment> made(
      new OlderSegment(files, std::move(path), first, codec, compression));
  made->writer_ = TRY(SegmentWriter::create(files, made->path_, first));
  return made;
}

OlderSegment::~OlderSegment() {
  writer_.reset();
  if (!kept_) ignore(files_.remove(path_), "a file that stays goes with the next open");
}

Status OlderSegment::add(std::span<const Entry> entries) {
  for (const Entry& entry : entries) {
    if (entry.first != next_ || entry.count == 0) {
      return Error(Errc::invalid,
                   fmt::format("an entry at offset {} with count {} came, expected offset {}",
                               entry.first.value(), entry.count, next_.value()),
                   path_);
    }
    next_ = entry.last() + 1;
    held_.push_back(entry);
  }
  return write_blocks(false);
}

/// A block is whole once an entry of the next one is there.
Status OlderSegment::write_blocks(bool all) {
  std::span<const Entry> left(held_);
  while (!left.empty()) {
    const size_t length = block_length(left);
    if (length == left.size() && !all) break;
    TRY(writer_->add(left.first(length), codec_, compression_));
    left = left.subspan(length);
  }
  held_.erase(held_.begin(), held_.end() - static_cast<std::ptrdiff_t>(left.size()));
  return {};
}

Result<SegmentInfo> OlderSegment::close() {
  if (!writer_) return info_;
  TRY(write_blocks(true));
  info_ = TRY(writer_->close());
  TRY(writer_->sync());
  writer_.reset();
  return info_;
}

}  // namespace clickmill::log
