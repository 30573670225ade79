#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "click/packing.h"

namespace clickmill::click {

/// A record's fields as they stand in its bytes (byte table: record.cpp), that
/// is with click_id and ip still packed. The column codec works on this form,
/// so that bytes come back exactly whatever they spell.
struct RecordLayout {
  uint8_t flags = 0;
  int64_t received_ms = 0;
  int64_t timestamp_ms = 0;
  uint8_t shape = 0;
  uint16_t country = 0;
  std::string_view click_id;
  std::string_view ad_id;
  std::string_view advertiser_id;
  std::string_view ad_format;
  std::string_view user_id;
  std::string_view ip;
  std::string_view user_agent;
  std::string_view referrer;
};

inline constexpr size_t kRecordFixedBytes = 20;
inline constexpr uint8_t kShapeDeviceBits = 0x03;
inline constexpr uint8_t kShapeUuidBit = 0x04;
inline constexpr unsigned kShapeIpShift = 3;
inline constexpr uint8_t kShapeIpBits = 0x18;
inline constexpr uint8_t kShapeKnownBits = 0x1f;

inline bool click_id_is_packed(uint8_t shape) { return (shape & kShapeUuidBit) != 0; }
inline IpForm ip_form(uint8_t shape) {
  return static_cast<IpForm>((shape & kShapeIpBits) >> kShapeIpShift);
}
inline size_t packed_ip_bytes(IpForm form) { return form == IpForm::v4 ? 4 : 16; }
/// No unknown bits, and an ip form that exists.
inline bool valid_shape(uint8_t shape) {
  return (shape & ~kShapeKnownBits) == 0 && (shape & kShapeIpBits) != kShapeIpBits;
}

/// Reads one record; the cursor has failed when the bytes are no record in
/// their one form (an unknown shape bit, a length in more bytes than it needs).
RecordLayout read_layout(ByteCursor& cursor);
/// Bytes of the varint in front of a text.
size_t length_bytes(std::string_view text);
/// Bytes that append_layout() will add.
size_t layout_bytes(const RecordLayout& record);
void append_layout(const RecordLayout& record, std::string& out);

}  // namespace clickmill::click
