#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/strong.h"

namespace clickmill::log {

/// What a record in the journal is. Stands in files: never renumber.
enum class RecordKind : uint8_t {
  click = 1,          ///< spool: one click record, opaque here
  entry = 2,          ///< log entry of a partition
  hard_state = 3,     ///< term, vote, commit of a partition
  truncate = 4,       ///< cuts a partition's log from an offset on
  trim = 5,           ///< spool: positions below which a partition's clicks are committed
  copied_entry = 6,   ///< a live entry copied forward, so that its old file can go
  copied_clicks = 7,  ///< spool: clicks copied forward, opaque here
};

/// Groups and file headers start on such boundaries: no group shares a block of
/// the device with one that is already durable, so a torn write can't harm it.
inline constexpr uint64_t kJournalAlign = 4096;
inline constexpr size_t kGroupHeaderBytes = 64;
/// Bytes on disk of a group that is so long.
constexpr uint64_t padded(uint64_t bytes) {
  return (bytes + kJournalAlign - 1) / kJournalAlign * kJournalAlign;
}

struct FileHeader {
  uint64_t journal_id = 0;
  uint64_t number = 0;
  uint64_t file_bytes = 0;
  /// End of what counts in all earlier files: a group there at or behind this
  /// position was torn, or rewritten into this file, and is void.
  JournalPos takes_over_from;
};
/// A size that a journal file can have.
constexpr bool is_file_size(uint64_t bytes) {
  return bytes % kJournalAlign == 0 && bytes >= 2 * kJournalAlign && bytes <= uint64_t{1} << 30;
}
/// kJournalAlign bytes.
std::string encode_file_header(const FileHeader& header);
Result<FileHeader> decode_file_header(std::string_view bytes);

struct GroupHeader {
  uint64_t journal_id = 0;
  uint64_t file_number = 0;
  JournalPos position;      ///< of this group's first byte
  JournalPos durable_upto;  ///< everything below it was synced when this was written
  int64_t time_ms = 0;      ///< the node's arrival clock
  uint32_t payload_bytes = 0;
  uint32_t records = 0;
};
/// Fills the first kGroupHeaderBytes of `group`, whose payload stands behind
/// them, and pads it with zeros to a multiple of kJournalAlign.
void seal_group(const GroupHeader& header, std::string& group);
/// Header alone, plausible but unverified (payload_bytes is bounded by `available`).
std::optional<GroupHeader> peek_group(std::string_view bytes, uint64_t available);
/// Whether header and payload belong together, to this journal and to this life of the file.
bool group_is_whole(const GroupHeader& header, std::string_view group);

struct RecordView {
  RecordKind kind;
  PartitionId partition;
  std::string_view payload;
};
void append_record(RecordKind kind, PartitionId partition, std::string_view payload,
                   std::string& group);
/// Upper bound of what append_record adds besides the payload.
inline constexpr size_t kRecordOverhead = 1 + 5 + 10;
/// Errc::corrupt when the records don't fill the payload exactly.
Result<std::vector<RecordView>> parse_records(std::string_view payload, uint32_t count);

}  // namespace clickmill::log
