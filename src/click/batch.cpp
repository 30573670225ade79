// What stands before the records of a clicks entry, little-endian:
//
//   size    field
//   varint  length of sender, 1 to 255
//   …       sender, a node_id
//   1       again: 0 or 1
//   8       low_water, signed, ms since 1970
//
// The entry's payload is covered by the checksums of the journal group or block
// that holds it.

#include "click/batch.h"

#include "base/assert.h"
#include "base/bytes.h"

namespace clickmill::click {
namespace {

constexpr size_t kSenderBytesMax = 255;

}  // namespace

void encode_batch_header(const BatchHeader& header, std::string& out) {
  CM_ASSERT(!header.sender.empty() && header.sender.size() <= kSenderBytesMax);
  ByteWriter writer(out);
  writer.bytes(header.sender);
  writer.u8(header.again ? 1 : 0);
  writer.i64(header.low_water.value());
}

Result<BatchHeader> decode_batch_header(ByteCursor& cursor) {
  BatchHeader header;
  header.sender = cursor.bytes();
  const uint8_t again = cursor.u8();
  header.again = again == 1;
  header.low_water = ArrivalMs(cursor.i64());
  if (!cursor.ok() || again > 1 || header.sender.empty() ||
      header.sender.size() > kSenderBytesMax) {
    return Error(Errc::corrupt, "batch header is malformed");
  }
  return header;
}

}  // namespace clickmill::click
