// PartMeta, as checkpoints keep it (varint: LEB128; bytes: varint length, then the bytes):
//   u8       version, 1, or 2 of a part that shares its file; a higher one is refused
//   bytes    name: a file name, no path
//   u8       table
//   svarint  smallest bucket, ms
//   varint   largest bucket - smallest, ms
//   varint   rows
//   varint   bytes of the file
//   u64      checksum of the footer, little-endian
//   varint   in version 2: its first byte in the file
#include "store/part_meta.h"

namespace clickmill::store {
namespace {

constexpr uint8_t kMetaVersion = 1;
constexpr uint8_t kMetaVersionShared = 2;

/// A list may come from a peer: no name leads out of the store's directory.
bool is_file_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string_view::npos &&
         name.find('\0') == std::string_view::npos;
}

}  // namespace

void encode_part_meta(const PartMeta& meta, std::string& out) {
  ByteWriter writer(out);
  writer.u8(meta.position == 0 ? kMetaVersion : kMetaVersionShared);
  writer.bytes(meta.name);
  writer.u8(static_cast<uint8_t>(meta.table));
  writer.svarint(meta.min_bucket_ms);
  writer.varint(static_cast<uint64_t>(meta.max_bucket_ms) -
                static_cast<uint64_t>(meta.min_bucket_ms));
  writer.varint(meta.rows);
  writer.varint(meta.bytes);
  writer.u64(meta.checksum);
  if (meta.position != 0) writer.varint(meta.position);
}

Result<PartMeta> decode_part_meta(ByteCursor& cursor) {
  const size_t begin = cursor.position();
  const auto corrupt = [begin](const std::string& what) {
    return Error(Errc::corrupt, "part list: entry at byte " + std::to_string(begin) + ": " + what);
  };
  const uint8_t version = cursor.u8();
  if (!cursor.ok()) return corrupt("cut short");
  if (version != kMetaVersion && version != kMetaVersionShared) {
    return corrupt("version " + std::to_string(version) + ", this program reads " +
                   std::to_string(kMetaVersion) + " and " + std::to_string(kMetaVersionShared));
  }
  PartMeta meta;
  meta.name = cursor.bytes();
  const uint8_t table = cursor.u8();
  meta.min_bucket_ms = cursor.svarint();
  const uint64_t span_ms = cursor.varint();
  meta.max_bucket_ms = static_cast<int64_t>(static_cast<uint64_t>(meta.min_bucket_ms) + span_ms);
  meta.rows = cursor.varint();
  meta.bytes = cursor.varint();
  meta.checksum = cursor.u64();
  if (version == kMetaVersionShared) meta.position = cursor.varint();
  if (!cursor.ok()) return corrupt("cut short");
  if (!is_file_name(meta.name)) return corrupt("name is not a file name");
  if (table >= kTables) return corrupt("no table " + std::to_string(table));
  if (meta.max_bucket_ms < meta.min_bucket_ms) return corrupt("buckets out of order");
  if ((version == kMetaVersionShared) != (meta.position != 0) ||
      meta.position + meta.bytes < meta.position)
    return corrupt("no such place in a file");
  meta.table = static_cast<Table>(table);
  return meta;
}

bool tells_of(const Error& error, const PartMeta& meta) {
  if (!error.path().ends_with("/" + meta.name)) return false;
  if (meta.position == 0 || error.position() == 0) return true;
  return error.position() >= meta.position && error.position() - meta.position < meta.bytes;
}

}  // namespace clickmill::store
