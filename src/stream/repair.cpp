#include "stream/repair.h"

#include <utility>

#include "base/bytes.h"
#include "base/damage.h"
#include "base/strong.h"

namespace clickmill::stream {
namespace {

// version u8 | by | items varint | per item: row as a byte string, fingerprint 16 bytes
constexpr uint8_t kVersion = 1;

void encode_item(const Repair::Item& item, std::string& out) {
  std::string row;
  store::encode_row(item.row, row);
  ByteWriter writer(out);
  writer.bytes(row);
  writer.u64(item.instead_of.low);
  writer.u64(item.instead_of.high);
}

std::string with_header(const std::string& by, size_t items, std::string_view body) {
  std::string out;
  ByteWriter writer(out);
  writer.u8(kVersion);
  writer.bytes(by);
  writer.varint(items);
  writer.raw(body);
  return out;
}

Error malformed(const std::string& why) { return Error(Errc::corrupt, "repair entry: " + why); }

}  // namespace

std::vector<std::string> encode_repair(const Repair& repair) {
  std::vector<std::string> pieces;
  std::string body;
  size_t items = 0;
  for (const Repair::Item& item : repair.items) {
    encode_item(item, body);
    ++items;
    if (body.size() < kRepairBytesMost) continue;
    pieces.push_back(with_header(repair.by, items, body));
    items = 0;
    body.clear();
  }
  if (items > 0) pieces.push_back(with_header(repair.by, items, body));
  return pieces;
}

Result<Repair> decode_repair(std::string_view bytes) {
  ByteCursor cursor(bytes);
  const uint8_t version = cursor.u8();
  if (version > kVersion) return of_later_version("a repair entry", version, kVersion);
  if (version != kVersion) return malformed("unknown version");
  Repair repair;
  repair.by = cursor.bytes();
  const uint64_t items = cursor.varint();
  for (uint64_t i = 0; i < items && cursor.ok(); ++i) {
    Repair::Item item;
    ByteCursor row(cursor.bytes());
    item.row = TRY(store::decode_row(row));
    if (!row.done()) return malformed("bytes behind a row");
    if (item.row.bucket_ms % kMinuteMs != 0) return malformed("a row of no whole minute");
    item.instead_of.low = cursor.u64();
    item.instead_of.high = cursor.u64();
    if (!repair.items.empty() && !store::key_less(repair.items.back().row, item.row)) {
      return malformed("rows out of order");
    }
    repair.items.push_back(std::move(item));
  }
  if (!cursor.done() || repair.items.empty()) return malformed("cut short, or without rows");
  return repair;
}

Hash128 fingerprint_of(const store::Row& row) {
  std::string bytes;
  store::encode_row(row, bytes);
  return xxh128_of(bytes);
}

}  // namespace clickmill::stream
