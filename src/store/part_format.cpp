// Part file, little-endian. Rows of one table, sorted by (advertiser_id, ad_id,
// automated, bucket), in blocks; a key with many rows has blocks of its own.
//
//   header      16 bytes
//   counts      the counts region of every block, one after the other (block.cpp)
//   estimates   likewise
//   countries   likewise
//   visitors    likewise
//   dictionary  the (advertiser_id, ad_id, automated) keys (key_dictionary.cpp), then
//               the order of countries (countries.cpp)
//   directory   an entry per block, below
//   footer      128 bytes
//
// Version: 1, or 2 if any row is of machines' clicks; only the dictionary differs.
//
// Header: 0 "clkmpart" | 8 u32 version | 12 u32 0.
//
// Footer:
//   0    u32    version
//   4    u32    table: 0 minute, 1 hour, 2 day
//   8    u64    rows
//   16   u64    blocks
//   24   u32    smallest bucket, as a number of bucket lengths since 1970
//   28   u32    largest bucket
//   32   4 u64  bytes of the sections counts, estimates, countries, visitors
//   64   u64    bytes of the dictionary
//   72   u64    its XXH3 checksum
//   80   u64    bytes of the directory
//   88   u64    its XXH3 checksum
//   96   u64    bytes of the whole file
//   104  8      0
//   112  8      "clkmpart"
//   120  u64    XXH3 of bytes 0 to 119; PartMeta.checksum repeats it
// A file whose version is higher is refused: an older program can't guess at it.
// A torn file has no footer where its size says; a foreign one another checksum.
//
// Directory, as bits (columns and shares: encoding.cpp), groups of up to 256 blocks:
//   columns: first key - last key of the block before (of -1, for the first)
//            last key - first key
//            rows - 1
//            smallest bucket - the part's
//            largest bucket - smallest
//            sum of clicks
//            sums of clicks of each device
//            bytes of each region
//   then for each block and region 32 bits, the low half of XXH3 of its bytes
// Positions follow from the sizes.
#include "store/part_format.h"

#include <algorithm>
#include <functional>

#include "base/checksum.h"
#include "base/file_header.h"
#include "store/encoding.h"

namespace clickmill::store {
namespace {

constexpr FileFormat kFormat{"part", "clkmpart", kVersionWithAutomated, kVersion};
constexpr size_t kDirectoryGroup = 256;
constexpr unsigned kChecksumBits = 32;

using Column = std::vector<uint64_t>;

/// A block's entry as one row of the directory's columns.
constexpr size_t kDirectoryColumns = 6 + click::kDevices + kRegions;
using DirectoryRow = std::array<uint64_t, kDirectoryColumns>;

DirectoryRow to_directory_row(const BlockEntry& block, int64_t key_before, uint32_t min_bucket) {
  DirectoryRow row{static_cast<uint64_t>(block.first_key - key_before),
                   block.last_key - block.first_key,
                   block.rows - 1,
                   block.min_bucket - min_bucket,
                   block.max_bucket - block.min_bucket,
                   block.clicks};
  std::copy(block.devices.begin(), block.devices.end(), row.begin() + 6);
  std::copy(block.sizes.begin(), block.sizes.end(), row.begin() + 6 + click::kDevices);
  return row;
}

/// What a decoded directory must stay within.
struct Bounds {
  int64_t key_before = -1;
  uint32_t keys;
  uint64_t rows_left;
  std::array<uint64_t, kRegions> positions;
  std::array<uint64_t, kRegions> bytes_left;
};

bool from_directory_row(const DirectoryRow& row, const Footer& footer, Bounds& bounds,
                        BlockEntry& block) {
  // Keys without rows would be skipped by no writer: the step is 0 (an ad goes on) or 1.
  const auto next_key = static_cast<uint64_t>(bounds.key_before + 1);
  if (row[0] > 1 || (bounds.key_before < 0 && row[0] == 0)) return false;
  const uint64_t first_key = next_key - 1 + row[0];
  if (first_key >= bounds.keys || row[1] >= bounds.keys - first_key) return false;
  if (row[2] >= kBlockRowsMax || row[2] >= bounds.rows_left || row[1] > row[2]) return false;
  const uint64_t span = footer.max_bucket - footer.min_bucket;
  if (row[3] > span || row[4] > span - row[3]) return false;
  block.first_key = static_cast<uint32_t>(first_key);
  block.last_key = static_cast<uint32_t>(first_key + row[1]);
  block.rows = static_cast<uint32_t>(row[2] + 1);
  block.min_bucket = footer.min_bucket + static_cast<uint32_t>(row[3]);
  block.max_bucket = block.min_bucket + static_cast<uint32_t>(row[4]);
  block.clicks = row[5];
  std::copy_n(row.begin() + 6, click::kDevices, block.devices.begin());
  for (size_t i = 0; i < kRegions; ++i) {
    const uint64_t size = row[6 + click::kDevices + i];
    if (size > bounds.bytes_left[i] || size > UINT32_MAX) return false;
    block.positions[i] = bounds.positions[i];
    block.sizes[i] = static_cast<uint32_t>(size);
    bounds.positions[i] += size;
    bounds.bytes_left[i] -= size;
  }
  bounds.rows_left -= block.rows;
  bounds.key_before = block.last_key;
  return true;
}

Bounds bounds_of(const Footer& footer, uint32_t keys) {
  Bounds bounds{-1, keys, footer.rows, {}, footer.sections};
  uint64_t position = kHeaderBytes;
  for (size_t i = 0; i < kRegions; ++i) {
    bounds.positions[i] = position;
    position += footer.sections[i];
  }
  return bounds;
}

bool decode_group(BitReader& in, const Footer& footer, size_t size, Bounds& bounds,
                  std::vector<BlockEntry>& blocks) {
  std::array<Column, kDirectoryColumns> columns;
  for (Column& column : columns) {
    column.resize(size);
    if (!decode_column(in, column)) return false;
  }
  for (size_t i = 0; i < size; ++i) {
    DirectoryRow row;
    for (size_t c = 0; c < kDirectoryColumns; ++c) row[c] = columns[c][i];
    BlockEntry block;
    if (!from_directory_row(row, footer, bounds, block)) return false;
    for (uint32_t& checksum : block.checksums) {
      checksum = static_cast<uint32_t>(in.get(kChecksumBits));
    }
    if (!in.ok()) return false;
    blocks.push_back(block);
  }
  return true;
}

}  // namespace

std::string encode_header(uint32_t version) {
  FileFormat format = kFormat;
  format.version = version;
  std::string out = begin_file_header(format);
  ByteWriter(out).u32(0);
  return out;
}

std::string check_header(std::string_view bytes, uint32_t& version) {
  auto header = read_unchecked_file_header(kFormat, bytes);
  if (!header) return header.error().message();
  version = header->version;
  const uint32_t zero = header->fields.u32();
  return zero == 0 && header->fields.done() ? "" : "header damaged";
}

std::string encode_footer(const Footer& footer) {
  std::string out;
  ByteWriter writer(out);
  writer.u32(footer.version);
  writer.u32(static_cast<uint32_t>(footer.table));
  writer.u64(footer.rows);
  writer.u64(footer.blocks);
  writer.u32(footer.min_bucket);
  writer.u32(footer.max_bucket);
  for (const uint64_t section : footer.sections) writer.u64(section);
  writer.u64(footer.dictionary.size);
  writer.u64(footer.dictionary.checksum);
  writer.u64(footer.directory.size);
  writer.u64(footer.directory.checksum);
  writer.u64(footer.directory.position + footer.directory.size + kFooterBytes);
  writer.u64(0);
  writer.raw(kFormat.magic);
  append_checksum(out);
  return out;
}

uint64_t footer_checksum(std::string_view bytes) {
  ByteCursor cursor(bytes.substr(bytes.size() - std::min<size_t>(bytes.size(), 8)));
  return cursor.u64();
}

std::string decode_footer(std::string_view bytes, uint64_t file_bytes, Footer& footer) {
  if (bytes.size() != kFooterBytes) return "no footer: too short";
  ByteCursor cursor(bytes);
  footer.version = cursor.u32();
  const uint32_t table = cursor.u32();
  footer.rows = cursor.u64();
  footer.blocks = cursor.u64();
  footer.min_bucket = cursor.u32();
  footer.max_bucket = cursor.u32();
  for (uint64_t& section : footer.sections) section = cursor.u64();
  for (Piece* piece : {&footer.dictionary, &footer.directory}) {
    piece->size = cursor.u64();
    piece->checksum = cursor.u64();
  }
  const uint64_t whole = cursor.u64();
  const uint64_t zero = cursor.u64();
  if (cursor.raw(kFormat.magic.size()) != kFormat.magic) return "no footer: torn or not a part";
  if (!before_checksum(bytes)) return "footer: checksum";
  if (footer.version < kVersion || footer.version > kVersionWithAutomated)
    return "footer: version " + std::to_string(footer.version);
  if (table >= kTables || zero != 0) return "footer: no such table";
  footer.table = static_cast<Table>(table);
  if (whole != file_bytes) {
    return "the footer says " + std::to_string(whole) + " bytes, the file has " +
           std::to_string(file_bytes);
  }
  if (footer.min_bucket > footer.max_bucket) return "footer: buckets out of order";
  // Each is checked against the rest of the file, so that no sum can overflow.
  uint64_t left = file_bytes - kFooterBytes;
  uint64_t position = 0;
  const auto take = [&](uint64_t size) {
    if (size > left) return false;
    left -= size;
    position += size;
    return true;
  };
  bool fits = take(kHeaderBytes);
  for (const uint64_t section : footer.sections) fits = fits && take(section);
  for (Piece* piece : {&footer.dictionary, &footer.directory}) {
    piece->position = position;
    fits = fits && take(piece->size);
  }
  return fits && left == 0 ? "" : "footer: sections do not fill the file";
}

void encode_directory(const std::vector<BlockEntry>& blocks, uint32_t min_bucket,
                      std::string& out) {
  BitWriter writer(out);
  int64_t key_before = -1;
  for (size_t begin = 0; begin < blocks.size(); begin += kDirectoryGroup) {
    const size_t size = std::min(kDirectoryGroup, blocks.size() - begin);
    std::array<Column, kDirectoryColumns> columns;
    for (size_t i = 0; i < size; ++i) {
      const BlockEntry& block = blocks[begin + i];
      const DirectoryRow row = to_directory_row(block, key_before, min_bucket);
      for (size_t c = 0; c < kDirectoryColumns; ++c) columns[c].push_back(row[c]);
      key_before = block.last_key;
    }
    for (const Column& column : columns) encode_column(column, writer);
    for (size_t i = 0; i < size; ++i) {
      for (const uint32_t checksum : blocks[begin + i].checksums) {
        writer.put(checksum, kChecksumBits);
      }
    }
  }
  writer.finish();
}

bool decode_directory(std::string_view bytes, const Footer& footer, uint32_t keys,
                      std::vector<BlockEntry>& blocks) {
  BitReader in(bytes);
  Bounds bounds = bounds_of(footer, keys);
  blocks.clear();
  // Each block takes 16 bytes of checksums at least, so the number can be believed.
  if (footer.blocks > bytes.size() / 16) return false;
  blocks.reserve(footer.blocks);
  while (blocks.size() < footer.blocks) {
    const size_t size = std::min<size_t>(kDirectoryGroup, footer.blocks - blocks.size());
    if (!decode_group(in, footer, size, bounds, blocks)) return false;
  }
  const bool all_used = std::all_of(bounds.bytes_left.begin(), bounds.bytes_left.end(),
                                    [](uint64_t left) { return left == 0; });
  return all_used && bounds.rows_left == 0 && bounds.key_before + 1 == int64_t{keys} &&
         in.rest().empty();
}

}  // namespace clickmill::store
