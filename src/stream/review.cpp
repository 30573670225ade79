// Value in the review space: u8 version 1 | u8 reason | svarint append_ms | record.
#include "stream/review.h"

#include "base/bytes.h"

namespace clickmill::stream {

std::string_view to_string(Reason reason) {
  switch (reason) {
    case Reason::late: return "late";
    case Reason::clock_ahead: return "clock_ahead";
    case Reason::unknown_ad: return "unknown_ad";
    case Reason::stale: return "stale";
  }
  return "?";
}

void encode_review(const ReviewEntry& entry, std::string& out) {
  ByteWriter writer(out);
  writer.u8(1);
  writer.u8(static_cast<uint8_t>(entry.reason));
  writer.svarint(entry.append_ms.value());
  writer.raw(entry.record);
}

Result<ReviewEntry> decode_review(std::string_view bytes) {
  ByteCursor cursor(bytes);
  const uint8_t version = cursor.u8();
  const uint8_t reason = cursor.u8();
  ReviewEntry entry;
  entry.append_ms = LogMs(cursor.svarint());
  entry.record = cursor.rest();
  if (!cursor.ok() || version != 1 || reason < 1 || reason >= kReasons) {
    return Error(Errc::corrupt, "review entry is malformed or of a newer version");
  }
  entry.reason = static_cast<Reason>(reason);
  return entry;
}

}  // namespace clickmill::stream
