// Journal files, little-endian. `<number, 20 digits>.journal`, all of one size;
// a position is number * file_bytes + byte in the file, so it names its file.
//
// File header, at byte 0, padded to 4,096:
//    0  8  magic "CMJRNL01" (the last two digits are the version)
//    8  8  journal id (drawn when the journal was made)
//   16  8  file number
//   24  8  file size in bytes, the same for all files of a journal
//   32  8  position taken over from (see FileHeader)
//   40  8  XXH3-64 of bytes 0..39
//
// Group, on a 4,096 boundary, padded with zeros to the next:
//    0  4  magic "CMG1"
//    4  4  payload bytes
//    8  8  journal id
//   16  8  file number
//   24  8  position of the group
//   32  8  durable_upto: position below which all was synced before this group was written
//   40  8  time, ms since 1970 (the node's arrival clock, never decreasing)
//   48  4  number of records
//   52  4  zero
//   56  8  XXH3-64 of bytes 0..55 and the payload, seeded with journal id and file number
//   64  …  records: u8 kind, varint partition, varint length, bytes
//
// The seed makes a group from a former life of a recycled file a stranger: it
// fails its checksum instead of coming back from the dead. A file of a newer
// version is refused by its magic.
#include "log/journal_format.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/checksum.h"
#include "base/file_header.h"

namespace clickmill::log {
namespace {

constexpr FileFormat kFormat{"journal file", "CMJRNL01", 0};
constexpr uint32_t kGroupMagic = 0x31474d43;  // "CMG1"
constexpr size_t kChecksumAt = 56;
constexpr size_t kFileHeaderBytes = 48;

uint64_t group_checksum(uint64_t journal_id, uint64_t file_number, std::string_view header,
                        std::string_view payload) {
  const uint64_t seed = journal_id ^ (file_number * 0x9e3779b97f4a7c15);
  return xxh64_of(payload, xxh64_of(header.substr(0, kChecksumAt), seed));
}

}  // namespace

std::string encode_file_header(const FileHeader& header) {
  std::string out = begin_file_header(kFormat);
  ByteWriter writer(out);
  writer.u64(header.journal_id);
  writer.u64(header.number);
  writer.u64(header.file_bytes);
  writer.u64(header.takes_over_from.value());
  append_checksum(out);
  out.resize(kJournalAlign, '\0');
  return out;
}

Result<FileHeader> decode_file_header(std::string_view bytes) {
  if (bytes.size() < kFileHeaderBytes) return Error(Errc::corrupt, "file header is cut off");
  auto [version, fields] = TRY(read_file_header(kFormat, bytes.substr(0, kFileHeaderBytes)));
  FileHeader header;
  header.journal_id = fields.u64();
  header.number = fields.u64();
  header.file_bytes = fields.u64();
  header.takes_over_from = JournalPos(fields.u64());
  if (!is_file_size(header.file_bytes)) {
    return Error(Errc::corrupt, "file header names an impossible file size");
  }
  return header;
}

void seal_group(const GroupHeader& header, std::string& group) {
  CM_ASSERT(group.size() >= kGroupHeaderBytes);
  std::string head;
  ByteWriter writer(head);
  writer.u32(kGroupMagic);
  writer.u32(header.payload_bytes);
  writer.u64(header.journal_id);
  writer.u64(header.file_number);
  writer.u64(header.position.value());
  writer.u64(header.durable_upto.value());
  writer.i64(header.time_ms);
  writer.u32(header.records);
  writer.u32(0);
  const auto payload = std::string_view(group).substr(kGroupHeaderBytes);
  CM_ASSERT(payload.size() == header.payload_bytes);
  writer.u64(group_checksum(header.journal_id, header.file_number, head, payload));
  group.replace(0, kGroupHeaderBytes, head);
  group.resize(padded(group.size()), '\0');
}

std::optional<GroupHeader> peek_group(std::string_view bytes, uint64_t available) {
  if (bytes.size() < kGroupHeaderBytes) return std::nullopt;
  ByteCursor cursor(bytes);
  if (cursor.u32() != kGroupMagic) return std::nullopt;
  GroupHeader header;
  header.payload_bytes = cursor.u32();
  header.journal_id = cursor.u64();
  header.file_number = cursor.u64();
  header.position = JournalPos(cursor.u64());
  header.durable_upto = JournalPos(cursor.u64());
  header.time_ms = cursor.i64();
  header.records = cursor.u32();
  if (available < kGroupHeaderBytes || header.payload_bytes > available - kGroupHeaderBytes) {
    return std::nullopt;
  }
  return header;
}

bool group_is_whole(const GroupHeader& header, std::string_view group) {
  if (group.size() < kGroupHeaderBytes + header.payload_bytes) return false;
  ByteCursor cursor(group.substr(kChecksumAt));
  return cursor.u64() == group_checksum(header.journal_id, header.file_number, group,
                                        group.substr(kGroupHeaderBytes, header.payload_bytes));
}

void append_record(RecordKind kind, PartitionId partition, std::string_view payload,
                   std::string& group) {
  ByteWriter writer(group);
  writer.u8(static_cast<uint8_t>(kind));
  writer.varint(partition.value());
  writer.bytes(payload);
}

Result<std::vector<RecordView>> parse_records(std::string_view payload, uint32_t count) {
  std::vector<RecordView> records;
  ByteCursor cursor(payload);
  while (!cursor.empty() && cursor.ok()) {
    const uint8_t kind = cursor.u8();
    const uint64_t partition = cursor.varint();
    const auto bytes = cursor.bytes();
    if (!cursor.ok() || partition > UINT32_MAX) break;
    records.push_back(
        {static_cast<RecordKind>(kind), PartitionId(static_cast<uint32_t>(partition)), bytes});
  }
  if (!cursor.done() || records.size() != count) {
    return Error(Errc::corrupt, "records don't fill their group");
  }
  return records;
}

}  // namespace clickmill::log
