#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "click/click.h"
#include "log/entry.h"

namespace clickmill::click {

/// Kinds of log entries (log::Entry::kind). Never renumber.
enum class EntryKind : uint8_t {
  noop = 0,    ///< Raft's: a new leader's first
  clicks = 1,  ///< BatchHeader, then `count` records
  tick = 2,
  settings = 3,
  decision = 4,
  repair = 5,
  members = 6,  ///< Raft's: who makes up the group from here on
};

/// Stands before the records of a clicks entry.
struct BatchHeader {
  std::string_view sender;  ///< node_id
  bool again = false;       ///< may have been sent before
  ArrivalMs low_water;      ///< the sender's, for this partition
};
void encode_batch_header(const BatchHeader& header, std::string& out);
Result<BatchHeader> decode_batch_header(ByteCursor& cursor);

/// log::Codec (id 2) for blocks of entries: clicks column by column (times
/// delta-coded, ids and agents by dictionary, UUIDs and addresses raw), other
/// kinds as they are. Exact: payload bytes come back as they went in; a clicks
/// payload that isn't canonical is stored as it is.
class ColumnCodec final : public log::Codec {
 public:
  uint8_t id() const override { return 2; }
  std::string encode(std::span<const log::Entry> entries) const override;
  Result<std::vector<log::Entry>> decode(std::string_view bytes) const override;
};

}  // namespace clickmill::click
