#pragma once

// click/ is the click itself: what it has (ClickView), how a client may say it (parse.h:
// JSON, form, query string), how spool and batches carry it (record.cpp, batch.h) and how
// sealed blocks compress it (column_codec.cpp).
// Pure functions on bytes without files or threads. Everything that comes from a client, a
// peer or a disk is checked here before anyone believes it; a refusal names the field.
// Promise: what encode made decode gives back, in every version ever written.
// Begin with ClickView, then parse.h.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/strong.h"

namespace clickmill::click {

/// Order is the wire's and the files': never renumber.
enum class Device : uint8_t { mobile = 0, desktop = 1, tablet = 2, other = 3 };
inline constexpr size_t kDevices = 4;
std::string_view to_string(Device device);
/// Empty Result (Errc::invalid) for any other word.
Result<Device> parse_device(std::string_view word);

/// ISO 3166-1 alpha-2 as two capital letters in one number: 'U' << 8 | 'S'.
/// "ZZ" is unknown.
using Country = uint16_t;
constexpr Country country_of(char a, char b) {
  return static_cast<Country>(static_cast<unsigned char>(a) << 8 | static_cast<unsigned char>(b));
}
inline constexpr Country kUnknownCountry = country_of('Z', 'Z');
std::string to_string_country(Country country);

/// Facts that ride with a click, as bits.
enum Flag : uint8_t {
  /// On time whatever its timestamp: imported, or made at that time by the wall clock while
  /// node time stood still, ahead of it.
  kBackfill = 1,
  kUnknownAd = 2,  ///< redirected to the default; goes to review
  kAdPending = 4,  ///< in the spool only: the configuration service is still to be asked for the ad
  kIdMade = 8,     ///< its click_id was made on arrival, so that no copy of it can be told
  kAutomated = 16,  ///< a machine clicked: a robot, a link preview, a script; see read_agent()
};

/// One click, its strings borrowed from a request or a record.
struct ClickView {
  std::string_view click_id{};
  std::string_view ad_id{};
  std::string_view advertiser_id{};  ///< as the catalog had it when redirected; empty: unknown
  std::string_view ad_format{};
  EventMs timestamp_ms{};
  ArrivalMs received_ms{};
  Device device = Device::other;
  Country country = kUnknownCountry;
  uint8_t flags = 0;
  std::string_view user_id{};
  std::string_view ip{};  ///< textual
  std::string_view user_agent{};
  std::string_view referrer{};
};

/// Byte offset in an encoded record at which received_ms stands (8 bytes,
/// little-endian), so that the spool can stamp it under its lock.
inline constexpr size_t kReceivedMsAt = 1;
/// Byte offset of the flags, so that they can be read without decoding.
inline constexpr size_t kFlagsAt = 0;
/// Appends one record, the row form that spool and batches carry:
/// u8 flags | i64 received_ms | i64 timestamp_ms | … (byte table: record.cpp).
/// Canonical: one click has one encoding (a lower-case UUID as 16 bytes, say).
/// timestamp_ms is stored whole, so stamping received_ms moves nothing else.
/// A country that isn't two capital letters is written as ZZ.
void encode_record(const ClickView& click, std::string& out);
/// Reads one record off the cursor; views borrow from its bytes, except that a
/// packed click_id or ip is unpacked into `scratch` (which must stay alive and
/// unmoved while the view is used).
struct RecordScratch {
  std::array<char, 40> click_id;
  std::array<char, 48> ip;
};
Result<ClickView> decode_record(ByteCursor& cursor, RecordScratch& scratch);
/// Passes over one record without decoding its strings; Errc::corrupt when it doesn't fit.
/// Gives the record's bytes.
Result<std::string_view> skip_record(ByteCursor& cursor);
/// Stamps received_ms into an encoded record (and timestamp_ms too, if `timestamp_too`).
void stamp_received(std::string& record, size_t record_begin, ArrivalMs received_ms,
                    bool timestamp_too);

/// Of an encoded record.
EventMs timestamp_of(std::string_view record);
/// Adds flags to it.
void add_flags(std::string& record, uint8_t flags);

/// The partition of an ad: XXH3 of ad_id, mod partitions. Stands in data
/// directories; never change it.
PartitionId partition_of(std::string_view ad_id, uint32_t partitions);

/// Who the visitor is, as text to be hashed: "u" + user_id, or "a" + ip + NUL +
/// user_agent, or empty when neither is known.
/// hash: XXH3 with the data's secret seed; `known` false: adds no visitor.
struct Visitor {
  uint64_t hash = 0;
  bool known = false;
};
Visitor visitor_of(const ClickView& click, uint64_t seed);

}  // namespace clickmill::click
