// Segment file, version 1. Numbers are little-endian, checksums XXH3 with 64 bits.
// Equal entries, codec, compression and segment size give equal bytes, whatever
// the library calls that brought them there.
//
// Header, 32 bytes
//    0  8  magic "CMSEGMNT"
//    8  4  version, 1
//   12  4  0
//   16  8  first offset; also the file's name
//   24  8  checksum of bytes 0–23
//
// Blocks, one after the other; each
//    0  4  magic "CMB1"; a block of another shape gets another magic
//    4  1  codec id
//    5  1  compression: 0 none, 1 LZ4, 2 ZSTD; none where the others don't save a byte
//    6  2  0
//    8  8  first offset
//   16  8  last offset
//   24  8  smallest append_ms
//   32  8  largest append_ms
//   40  8  term of the last entry
//   48  4  raw size: bytes that the codec gave
//   52  4  stored size: bytes that follow the header
//   56  8  raw checksum, of the codec's bytes, seed 0: replicas compare it
//   64  8  checksum of the stored bytes, seeded with the checksum of bytes 0–63, which
//          is seeded with (first offset of the segment) × 0x9e3779b97f4a7c15 + position:
//          a block that belongs elsewhere is not taken for this one
//   72     stored bytes
//
// Footer, once the file has reached its size
//    0  4  magic "CMFT"
//    4  4  number of blocks
//    8     per block 72 bytes: first offset, last offset, position, smallest and largest
//          append_ms, last term (8 each), size with header, raw size (4 each), checksum,
//          raw checksum (8 each)
//
// Trailer, the last 24 bytes
//    0  8  position of the footer
//    8  8  checksum of the footer, seeded with the first offset
//   16  8  magic "CMSEGEND"
//
// What is valid is decided by the manifest: it has the checksum of every block of an
// open segment and of the footer of a closed one. Bytes behind the last listed block of
// an open segment are the rest of a seal that didn't finish. Where the manifest is damaged,
// blocks and footers tell themselves what they are (segment_survey.h). An older program
// meets a newer version first in the manifest, and refuses it there.

#include "log/segment.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/file_header.h"
#include "base/hard_links.h"
#include "log/compression.h"

namespace clickmill::log {
namespace {

constexpr FileFormat kFormat{"segment", "CMSEGMNT", 1};
constexpr std::string_view kTrailerMagic = "CMSEGEND";
constexpr std::string_view kBlockMagic = "CMB1";
constexpr std::string_view kFooterMagic = "CMFT";
constexpr size_t kBlockHeaderBytes = 72;
constexpr size_t kBlockHeaderChecked = 64;
constexpr size_t kTrailerBytes = 24;

/// The segment and the position take part, though no field names the latter.
uint64_t block_checksum(std::string_view block, Offset segment, uint64_t position) {
  const uint64_t place = segment.value() * 0x9e3779b97f4a7c15 + position;
  const uint64_t header = xxh64_of(block.substr(0, kBlockHeaderChecked), place);
  return xxh64_of(block.substr(kBlockHeaderBytes), header);
}

/// Everything the index says about the entries themselves.
BlockInfo describe(std::span<const Entry> entries) {
  BlockInfo info;
  info.first = entries.front().first;
  info.last = entries.back().last();
  info.last_term = entries.back().term;
  const auto [min, max] =
      std::minmax_element(entries.begin(), entries.end(),
                          [](const Entry& a, const Entry& b) { return a.append_ms < b.append_ms; });
  info.min_append_ms = min->append_ms;
  info.max_append_ms = max->append_ms;
  return info;
}

/// A segment's next block.
void take_in(const BlockInfo& block, SegmentInfo& info) {
  const bool begins = info.blocks++ == 0;
  if (begins) info.first = block.first;
  info.last = block.last;
  info.last_term = block.last_term;
  info.min_append_ms =
      begins ? block.min_append_ms : std::min(info.min_append_ms, block.min_append_ms);
  info.max_append_ms =
      begins ? block.max_append_ms : std::max(info.max_append_ms, block.max_append_ms);
}

bool contiguous(std::span<const Entry> entries) {
  return std::adjacent_find(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
           return b.first != a.last() + 1;
         }) == entries.end();
}

struct BlockHeader {
  BlockInfo info;
  uint8_t codec = 0;
  uint8_t compression = 0;
};

void write_header(ByteWriter& writer, const BlockHeader& header) {
  writer.raw(kBlockMagic);
  writer.u8(header.codec);
  writer.u8(header.compression);
  writer.u16(0);
  writer.u64(header.info.first.value());
  writer.u64(header.info.last.value());
  writer.i64(header.info.min_append_ms.value());
  writer.i64(header.info.max_append_ms.value());
  writer.u64(header.info.last_term.value());
  writer.u32(header.info.raw_size);
  writer.u32(header.info.size - static_cast<uint32_t>(kBlockHeaderBytes));
  writer.u64(header.info.raw_checksum);
}

/// Empty when it is no header; `position` is the caller's.
std::optional<BlockHeader> read_header(std::string_view block, uint64_t position) {
  ByteCursor cursor(block);
  const auto magic = cursor.raw(kBlockMagic.size());
  BlockHeader header;
  header.codec = cursor.u8();
  header.compression = cursor.u8();
  const uint16_t zero = cursor.u16();
  header.info.first = Offset(cursor.u64());
  header.info.last = Offset(cursor.u64());
  header.info.min_append_ms = LogMs(cursor.i64());
  header.info.max_append_ms = LogMs(cursor.i64());
  header.info.last_term = Term(cursor.u64());
  header.info.raw_size = cursor.u32();
  const uint64_t size = cursor.u32() + uint64_t{kBlockHeaderBytes};
  header.info.size = static_cast<uint32_t>(size);
  header.info.raw_checksum = cursor.u64();
  header.info.checksum = cursor.u64();
  header.info.position = position;
  if (!cursor.ok() || magic != kBlockMagic || zero != 0 || size != block.size()) {
    return std::nullopt;
  }
  return header;
}

}  // namespace

void write_info(ByteWriter& writer, const BlockInfo& info) {
  writer.u64(info.first.value());
  writer.u64(info.last.value());
  writer.u64(info.position);
  writer.i64(info.min_append_ms.value());
  writer.i64(info.max_append_ms.value());
  writer.u64(info.last_term.value());
  writer.u32(info.size);
  writer.u32(info.raw_size);
  writer.u64(info.checksum);
  writer.u64(info.raw_checksum);
}

BlockInfo read_block_info(ByteCursor& cursor) {
  BlockInfo info;
  info.first = Offset(cursor.u64());
  info.last = Offset(cursor.u64());
  info.position = cursor.u64();
  info.min_append_ms = LogMs(cursor.i64());
  info.max_append_ms = LogMs(cursor.i64());
  info.last_term = Term(cursor.u64());
  info.size = cursor.u32();
  info.raw_size = cursor.u32();
  info.checksum = cursor.u64();
  info.raw_checksum = cursor.u64();
  return info;
}

void write_info(ByteWriter& writer, const SegmentInfo& info) {
  writer.u64(info.first.value());
  writer.u64(info.last.value());
  writer.i64(info.min_append_ms.value());
  writer.i64(info.max_append_ms.value());
  writer.u64(info.last_term.value());
  writer.u64(info.bytes);
  writer.u64(info.footer_position);
  writer.u64(info.footer_checksum);
  writer.u64(info.blocks);
}

SegmentInfo read_segment_info(ByteCursor& cursor) {
  SegmentInfo info;
  info.first = Offset(cursor.u64());
  info.last = Offset(cursor.u64());
  info.min_append_ms = LogMs(cursor.i64());
  info.max_append_ms = LogMs(cursor.i64());
  info.last_term = Term(cursor.u64());
  info.bytes = cursor.u64();
  info.footer_position = cursor.u64();
  info.footer_checksum = cursor.u64();
  info.blocks = cursor.u64();
  return info;
}

std::string segment_name(Offset first) { return fmt::format("{:020}.segment", first.value()); }

std::optional<Offset> parse_segment_name(std::string_view name) {
  uint64_t value = 0;
  for (const char c : name.substr(0, 20)) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<uint64_t>(c - '0');
  }
  // Written back, since 20 digits may be more than 64 bits hold.
  if (name != segment_name(Offset(value))) return std::nullopt;
  return Offset(value);
}

size_t block_length(std::span<const Entry> entries) {
  const auto cut =
      std::adjacent_find(entries.begin(), entries.end(),
                         [](const Entry& a, const Entry& b) { return !same_block(a, b); });
  return cut == entries.end() ? entries.size() : static_cast<size_t>(cut - entries.begin()) + 1;
}

Result<std::unique_ptr<SegmentWriter>> SegmentWriter::create(FileSystem& files,
                                                             const std::string& path,
                                                             Offset first) {
  auto file = TRY(files.open(path, FileSystem::Open::truncate));
  std::unique_ptr<SegmentWriter> writer(new SegmentWriter(std::move(file), first));
  std::string header = begin_file_header(kFormat);
  ByteWriter out(header);
  out.u32(0);
  out.u64(first.value());
  append_checksum(header);
  TRY(writer->file_->write_at(0, header));
  writer->end_ = header.size();
  return writer;
}

Result<std::unique_ptr<SegmentWriter>> SegmentWriter::resume(FileSystem& files,
                                                             const std::string& path,
                                                             std::vector<BlockInfo> blocks) {
  // A manifest that was mended may have forgotten that it was closed, and in a backup since.
  TRY(break_link(path));
  auto file = TRY(files.open(path, FileSystem::Open::write));
  std::unique_ptr<SegmentWriter> writer(new SegmentWriter(std::move(file), blocks.front().first));
  writer->end_ = blocks.back().end();
  writer->blocks_ = std::move(blocks);
  const uint64_t size = TRY(writer->file_->size());
  if (size < writer->end_) {
    return Error(Errc::corrupt,
                 fmt::format("the file ends here, the manifest lists {} bytes", writer->end_), path,
                 size);
  }
  if (size > writer->end_) TRY(writer->file_->truncate(writer->end_));
  return writer;
}

Result<BlockInfo> SegmentWriter::add(std::span<const Entry> entries, const Codec& codec,
                                     Compression compression) {
  std::string raw = codec.encode(entries);
  if (raw.size() > kRawBytesMax) {
    return Error(Errc::invalid,
                 fmt::format("block of offset {}: {} bytes, at most {} fit",
                             entries.front().first.value(), raw.size(), kRawBytesMax));
  }
  BlockHeader header{describe(entries), codec.id(), 0};
  header.info.position = end_;
  header.info.raw_size = static_cast<uint32_t>(raw.size());
  header.info.raw_checksum = xxh64_of(raw);
  const std::string stored = compress(std::move(raw), compression);
  header.compression = static_cast<uint8_t>(compression);
  header.info.size = static_cast<uint32_t>(kBlockHeaderBytes + stored.size());

  std::string block;
  block.reserve(header.info.size);
  ByteWriter out(block);
  write_header(out, header);
  out.u64(0);
  out.raw(stored);
  header.info.checksum = block_checksum(block, first_, end_);
  std::string checksum;
  ByteWriter(checksum).u64(header.info.checksum);
  block.replace(kBlockHeaderChecked, checksum.size(), checksum);

  TRY(file_->write_at(end_, block));
  end_ += block.size();
  blocks_.push_back(header.info);
  return header.info;
}

Result<SegmentInfo> SegmentWriter::close() {
  std::string footer;
  footer.reserve(8 + blocks_.size() * kBlockInfoBytes + kTrailerBytes);
  ByteWriter out(footer);
  out.raw(kFooterMagic);
  out.u32(static_cast<uint32_t>(blocks_.size()));
  SegmentInfo info;
  for (const auto& block : blocks_) {
    write_info(out, block);
    take_in(block, info);
  }
  info.footer_position = end_;
  info.footer_checksum = xxh64_of(footer, first_.value());
  out.u64(info.footer_position);
  out.u64(info.footer_checksum);
  out.raw(kTrailerMagic);
  TRY(file_->write_at(end_, footer));
  end_ += footer.size();
  info.bytes = end_;
  return info;
}

Result<SegmentReader> SegmentReader::open(FileSystem& files, const std::string& path,
                                          Offset first) {
  auto file = TRY(files.open(path, FileSystem::Open::read));
  return SegmentReader(std::move(file), first);
}

Error SegmentReader::corrupt(uint64_t position, std::string message) const {
  return Error(Errc::corrupt, std::move(message), file_->path(), position);
}

Result<std::string> SegmentReader::read(uint64_t position, uint64_t size) const {
  std::string bytes;
  TRY(file_->read_at(position, size, bytes));
  if (bytes.size() != size) {
    return corrupt(position + bytes.size(),
                   fmt::format("the file ends here, {} bytes short", size - bytes.size()));
  }
  return bytes;
}

Result<std::vector<Entry>> SegmentReader::read_block(const BlockInfo& info,
                                                     const Codec& codec) const {
  const std::string block = TRY(read(info.position, info.size));
  const auto header = read_header(block, info.position);
  if (!header) return corrupt(info.position, "no block header");
  const uint64_t checksum = block_checksum(block, first_, info.position);
  if (checksum != header->info.checksum) {
    return corrupt(info.position, fmt::format("block: checksum {:016x}, stored {:016x}", checksum,
                                              header->info.checksum));
  }
  if (header->info != info) return corrupt(info.position, "block: not the one that is listed");
  if (header->codec != codec.id()) {
    return corrupt(info.position,
                   fmt::format("block: codec {}, this log has {}", header->codec, codec.id()));
  }
  const auto raw = decompress(std::string_view(block).substr(kBlockHeaderBytes),
                              header->compression, info.raw_size);
  if (!raw) return corrupt(info.position, "block: can't be decompressed");
  if (xxh64_of(*raw) != info.raw_checksum) {
    return corrupt(info.position, "block: checksum of the decompressed bytes differs");
  }
  auto entries = codec.decode(*raw);
  if (!entries) return corrupt(info.position, entries.error().message());
  if (entries->empty() || !contiguous(*entries)) {
    return corrupt(info.position, "block: entries don't follow each other");
  }
  const BlockInfo found = describe(*entries);
  if (found.first != info.first || found.last != info.last) {
    return corrupt(info.position, "block: not the offsets that are listed");
  }
  return entries;
}

Result<std::vector<BlockInfo>> SegmentReader::read_footer(const SegmentInfo& info) const {
  if (info.bytes < info.footer_position + kTrailerBytes) {
    return corrupt(info.footer_position, "footer: no room for it");
  }
  const std::string footer =
      TRY(read(info.footer_position, info.bytes - info.footer_position - kTrailerBytes));
  const uint64_t checksum = xxh64_of(footer, first_.value());
  if (checksum != info.footer_checksum) {
    return corrupt(info.footer_position, fmt::format("footer: checksum {:016x}, listed {:016x}",
                                                     checksum, info.footer_checksum));
  }
  ByteCursor cursor(footer);
  const bool magic = cursor.raw(kFooterMagic.size()) == kFooterMagic;
  const uint32_t count = cursor.u32();
  if (!magic || count == 0 || cursor.rest().size() != count * kBlockInfoBytes) {
    return corrupt(info.footer_position, "footer: wrong magic or size");
  }
  std::vector<BlockInfo> blocks(count);
  for (auto& block : blocks) block = read_block_info(cursor);
  if (blocks.front().first != info.first || blocks.back().last != info.last) {
    return corrupt(info.footer_position, "footer: not the offsets that are listed");
  }
  return blocks;
}

Result<std::optional<BlockInfo>> SegmentReader::find_block(uint64_t position) const {
  std::string block;
  TRY(file_->read_at(position, kBlockHeaderBytes, block));
  ByteCursor cursor(block);
  cursor.raw(52);
  const uint32_t stored = cursor.u32();
  if (!cursor.ok() || stored > kRawBytesMax) return std::optional<BlockInfo>();
  TRY(file_->read_at(position, kBlockHeaderBytes + size_t{stored}, block));
  const auto header = read_header(block, position);
  if (!header || block_checksum(block, first_, position) != header->info.checksum)
    return std::optional<BlockInfo>();
  return std::optional(header->info);
}

Result<std::optional<SegmentInfo>> SegmentReader::find_footer() const {
  SegmentInfo info;
  info.bytes = TRY(file_->size());
  if (info.bytes < kSegmentHeaderBytes + kTrailerBytes) return std::optional<SegmentInfo>();
  const std::string trailer = TRY(read(info.bytes - kTrailerBytes, kTrailerBytes));
  ByteCursor end(trailer);
  info.footer_position = end.u64();
  info.footer_checksum = end.u64();
  if (end.rest() != kTrailerMagic || info.footer_position > info.bytes - kTrailerBytes)
    return std::optional<SegmentInfo>();
  const std::string footer =
      TRY(read(info.footer_position, info.bytes - info.footer_position - kTrailerBytes));
  ByteCursor cursor(footer);
  const bool magic = cursor.raw(kFooterMagic.size()) == kFooterMagic;
  const uint32_t blocks = cursor.u32();
  if (!magic || xxh64_of(footer, first_.value()) != info.footer_checksum || blocks == 0 ||
      cursor.rest().size() != blocks * kBlockInfoBytes)
    return std::optional<SegmentInfo>();
  for (uint32_t i = 0; i < blocks; ++i) take_in(read_block_info(cursor), info);
  return std::optional(info);
}

Status SegmentReader::check_header() const {
  const std::string bytes = TRY(read(0, kSegmentHeaderBytes));
  auto header = read_file_header(kFormat, bytes);
  // The manifest would have refused a newer version: this one is damage.
  if (!header) return corrupt(header.error().position(), header.error().message());
  header->fields.u32();
  const Offset first(header->fields.u64());
  if (first != first_) {
    return corrupt(16, fmt::format("header: first offset {}, its name says {}", first.value(),
                                   first_.value()));
  }
  return {};
}

Status SegmentReader::check_trailer(const SegmentInfo& info) const {
  const uint64_t size = TRY(file_->size());
  if (size != info.bytes) {
    return corrupt(std::min(size, info.bytes),
                   fmt::format("the file has {} bytes, the manifest lists {}", size, info.bytes));
  }
  const uint64_t position = info.bytes - kTrailerBytes;
  const std::string trailer = TRY(read(position, kTrailerBytes));
  ByteCursor cursor(trailer);
  if (cursor.u64() != info.footer_position || cursor.u64() != info.footer_checksum ||
      cursor.rest() != kTrailerMagic) {
    return corrupt(position, "trailer: not what the manifest lists");
  }
  return {};
}

}  // namespace clickmill::log
