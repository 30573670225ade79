// A click as a record, the row form in which spool and batches carry it.
// Little-endian; "bytes" is a varint length (shortest form), then the bytes.
//
//   offset  size   field
//   0       1      flags (click::Flag; unknown bits are carried)
//   1       8      received_ms, signed
//   9       8      timestamp_ms, signed
//   17      1      shape: bits 0-1 device, bit 2 click_id is a packed UUID,
//                  bits 3-4 ip form (0 text, 1 IPv4, 2 IPv6), bits 5-7 zero
//   18      2      country, first letter in the high byte
//   20      16     click_id, packed UUID; else bytes
//           bytes  ad_id
//           bytes  advertiser_id
//           bytes  ad_format
//           bytes  user_id
//           4, 16  ip, packed address; else bytes
//           bytes  user_agent
//           bytes  referrer
//
// A record has no checksum of its own: journal groups and blocks have one. A
// reader refuses a shape it doesn't know, so bits 5-7 are where a later version
// would announce itself.
// One click has one encoding: text that can be packed must be.

#include <cstring>

#include "base/assert.h"
#include "base/checksum.h"
#include "click/click.h"
#include "click/record_layout.h"

namespace clickmill::click {
namespace {

constexpr size_t kTimestampMsAt = kReceivedMsAt + 8;
static_assert(kTimestampMsAt + 8 + 1 + 2 == kRecordFixedBytes);
static_assert(kUuidChars <= std::tuple_size_v<decltype(RecordScratch::click_id)>);
static_assert(kIpCharsMax <= std::tuple_size_v<decltype(RecordScratch::ip)>);

bool is_letter_pair(uint16_t country) {
  const unsigned high = country >> 8;
  const unsigned low = country & 0xff;
  return high >= 'A' && high <= 'Z' && low >= 'A' && low <= 'Z';
}

size_t varint_bytes(uint64_t value) {
  size_t bytes = 1;
  for (; value >= 0x80; value >>= 7) ++bytes;
  return bytes;
}

std::string_view read_bytes(ByteCursor& cursor) {
  const size_t before = cursor.position();
  const uint64_t length = cursor.varint();
  if (length >= 0x80 || cursor.position() - before > 1) {
    if (cursor.position() - before != varint_bytes(length)) cursor.fail();
  }
  return cursor.raw(length);
}

size_t bytes_bytes(std::string_view text) { return varint_bytes(text.size()) + text.size(); }

/// Writes into room made beforehand: an append per field would check capacity
/// fifteen times a record.
class RoomWriter {
 public:
  explicit RoomWriter(char* at) : at_(at) {}
  template <typename T>
  void number(T value) {
    std::memcpy(at_, &value, sizeof value);
    at_ += sizeof value;
  }
  void raw(std::string_view bytes) {
    if (!bytes.empty()) std::memcpy(at_, bytes.data(), bytes.size());
    at_ += bytes.size();
  }
  void bytes(std::string_view text) {
    uint64_t length = text.size();
    for (; length >= 0x80; length >>= 7) *at_++ = static_cast<char>(length | 0x80);
    *at_++ = static_cast<char>(length);
    raw(text);
  }
  const char* at() const { return at_; }

 private:
  char* at_;
};

Error bad_record(size_t position, const char* why) {
  return Error(Errc::corrupt,
               "record at byte " + std::to_string(position) + " of its batch: " + why);
}

}  // namespace

RecordLayout read_layout(ByteCursor& cursor) {
  RecordLayout record;
  record.flags = cursor.u8();
  record.received_ms = cursor.i64();
  record.timestamp_ms = cursor.i64();
  record.shape = cursor.u8();
  record.country = cursor.u16();
  if (!valid_shape(record.shape)) cursor.fail();
  record.click_id = click_id_is_packed(record.shape) ? cursor.raw(kUuidBytes) : read_bytes(cursor);
  record.ad_id = read_bytes(cursor);
  record.advertiser_id = read_bytes(cursor);
  record.ad_format = read_bytes(cursor);
  record.user_id = read_bytes(cursor);
  const IpForm form = ip_form(record.shape);
  record.ip = form == IpForm::text ? read_bytes(cursor) : cursor.raw(packed_ip_bytes(form));
  record.user_agent = read_bytes(cursor);
  record.referrer = read_bytes(cursor);
  return record;
}

size_t length_bytes(std::string_view text) { return varint_bytes(text.size()); }

size_t layout_bytes(const RecordLayout& record) {
  size_t bytes = kRecordFixedBytes;
  bytes += click_id_is_packed(record.shape) ? kUuidBytes : bytes_bytes(record.click_id);
  bytes += bytes_bytes(record.ad_id);
  bytes += bytes_bytes(record.advertiser_id);
  bytes += bytes_bytes(record.ad_format);
  bytes += bytes_bytes(record.user_id);
  bytes += ip_form(record.shape) == IpForm::text ? bytes_bytes(record.ip) : record.ip.size();
  bytes += bytes_bytes(record.user_agent);
  bytes += bytes_bytes(record.referrer);
  return bytes;
}

void append_layout(const RecordLayout& record, std::string& out) {
  const size_t begin = out.size();
  out.resize(begin + layout_bytes(record));
  RoomWriter writer(out.data() + begin);
  writer.number(record.flags);
  writer.number(record.received_ms);
  writer.number(record.timestamp_ms);
  writer.number(record.shape);
  writer.number(record.country);
  if (click_id_is_packed(record.shape)) {
    writer.raw(record.click_id);
  } else {
    writer.bytes(record.click_id);
  }
  writer.bytes(record.ad_id);
  writer.bytes(record.advertiser_id);
  writer.bytes(record.ad_format);
  writer.bytes(record.user_id);
  if (ip_form(record.shape) == IpForm::text) {
    writer.bytes(record.ip);
  } else {
    writer.raw(record.ip);
  }
  writer.bytes(record.user_agent);
  writer.bytes(record.referrer);
  CM_ASSERT(writer.at() == out.data() + out.size());
}

void encode_record(const ClickView& click, std::string& out) {
  char uuid[kUuidBytes];
  char address[16];
  const bool is_uuid = pack_uuid(click.click_id, uuid);
  const IpForm form = pack_ip(click.ip, address);
  RecordLayout record;
  record.flags = click.flags;
  record.received_ms = click.received_ms.value();
  record.timestamp_ms = click.timestamp_ms.value();
  record.shape = static_cast<uint8_t>((static_cast<unsigned>(click.device) & kShapeDeviceBits) |
                                      (is_uuid ? kShapeUuidBit : 0U) |
                                      static_cast<unsigned>(form) << kShapeIpShift);
  record.country = is_letter_pair(click.country) ? click.country : kUnknownCountry;
  record.click_id = is_uuid ? std::string_view(uuid, kUuidBytes) : click.click_id;
  record.ad_id = click.ad_id;
  record.advertiser_id = click.advertiser_id;
  record.ad_format = click.ad_format;
  record.user_id = click.user_id;
  record.ip = form == IpForm::text ? click.ip : std::string_view(address, packed_ip_bytes(form));
  record.user_agent = click.user_agent;
  record.referrer = click.referrer;
  append_layout(record, out);
}

Result<ClickView> decode_record(ByteCursor& cursor, RecordScratch& scratch) {
  const size_t begin = cursor.position();
  const RecordLayout record = read_layout(cursor);
  if (!cursor.ok()) return bad_record(begin, "it doesn't fit or isn't in its one form");
  if (!is_letter_pair(record.country)) return bad_record(begin, "country is no two letters");
  ClickView click;
  click.flags = record.flags;
  click.received_ms = ArrivalMs(record.received_ms);
  click.timestamp_ms = EventMs(record.timestamp_ms);
  click.device = static_cast<Device>(record.shape & kShapeDeviceBits);
  click.country = record.country;
  click.ad_id = record.ad_id;
  click.advertiser_id = record.advertiser_id;
  click.ad_format = record.ad_format;
  click.user_id = record.user_id;
  click.user_agent = record.user_agent;
  click.referrer = record.referrer;
  char packed[16];
  if (click_id_is_packed(record.shape)) {
    unpack_uuid(record.click_id.data(), scratch.click_id.data());
    click.click_id = std::string_view(scratch.click_id.data(), kUuidChars);
  } else {
    if (pack_uuid(record.click_id, packed)) return bad_record(begin, "click_id isn't packed");
    click.click_id = record.click_id;
  }
  const IpForm form = ip_form(record.shape);
  if (form != IpForm::text) {
    const size_t length = unpack_ip(form, record.ip.data(), scratch.ip.data());
    click.ip = std::string_view(scratch.ip.data(), length);
  } else {
    if (!record.ip.empty() && pack_ip(record.ip, packed) != IpForm::text) {
      return bad_record(begin, "ip isn't packed");
    }
    click.ip = record.ip;
  }
  return click;
}

Result<std::string_view> skip_record(ByteCursor& cursor) {
  const size_t begin = cursor.position();
  const std::string_view rest = cursor.rest();
  read_layout(cursor);
  if (!cursor.ok()) return bad_record(begin, "it doesn't fit or isn't in its one form");
  return rest.substr(0, cursor.position() - begin);
}

void stamp_received(std::string& record, size_t record_begin, ArrivalMs received_ms,
                    bool timestamp_too) {
  CM_ASSERT(record_begin <= record.size() && record.size() - record_begin >= kRecordFixedBytes);
  const int64_t value = received_ms.value();
  std::memcpy(record.data() + record_begin + kReceivedMsAt, &value, sizeof value);
  if (timestamp_too) {
    std::memcpy(record.data() + record_begin + kTimestampMsAt, &value, sizeof value);
  }
}

EventMs timestamp_of(std::string_view record) {
  CM_ASSERT(record.size() >= kRecordFixedBytes);
  int64_t value = 0;
  std::memcpy(&value, record.data() + kTimestampMsAt, sizeof value);
  return EventMs(value);
}

void add_flags(std::string& record, uint8_t flags) {
  CM_ASSERT(record.size() >= kRecordFixedBytes);
  record[0] = static_cast<char>(static_cast<uint8_t>(record[0]) | flags);
}

PartitionId partition_of(std::string_view ad_id, uint32_t partitions) {
  CM_ASSERT(partitions > 0);
  return PartitionId(static_cast<uint32_t>(xxh64_of(ad_id) % partitions));
}

}  // namespace clickmill::click
