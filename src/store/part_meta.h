#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "store/row.h"

namespace clickmill::store {

/// What a part list says of a part, without opening the file. Stands in checkpoints.
struct PartMeta {
  std::string name;  ///< file name within the store directory, unique for ever
  Table table = Table::minute;
  int64_t min_bucket_ms = 0;
  int64_t max_bucket_ms = 0;  ///< inclusive
  uint64_t rows = 0;
  uint64_t bytes = 0;
  uint64_t checksum = 0;  ///< of the footer: a manifest against a foreign file
  uint64_t position = 0;  ///< its first byte, in a file that parts share; 0: it has it alone
};
void encode_part_meta(const PartMeta& meta, std::string& out);
Result<PartMeta> decode_part_meta(ByteCursor& cursor);
/// Whether the error tells of bytes of that part, or of the file as a whole.
bool tells_of(const Error& error, const PartMeta& meta);

}  // namespace clickmill::store
