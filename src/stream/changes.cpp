// Key in the changes space, big-endian: u32 slot | u64 log time | u64 offset
// of the record | u32 place in it.
// Value: u8 version 1 | varint age at birth | u8 kind | varint subject | bytes by |
//   bytes what | bytes reason | bytes ad_id | bytes advertiser_id | svarint minute |
//   svarint clicks
#include "stream/changes.h"

#include <algorithm>
#include <optional>

#include "base/bytes.h"

namespace clickmill::stream {
namespace {

constexpr uint8_t kVersion = 1;
constexpr size_t kKeyBytes = 24;

std::string first_key(state::Slot slot) {
  std::string key;
  append_key_u32(key, slot.value());
  return key;
}

std::string key_of(state::Slot slot, const ChangePosition& position) {
  std::string key = first_key(slot);
  append_key_u64(key, static_cast<uint64_t>(std::max<int64_t>(position.at.value(), 0)));
  append_key_u64(key, position.record.value());
  append_key_u32(key, position.index);
  return key;
}

ChangePosition position_of(std::string_view key) {
  ChangePosition position;
  position.at = LogMs(static_cast<int64_t>(read_key_u64(key.substr(4))));
  position.record = Offset(read_key_u64(key.substr(12)));
  for (const char byte : key.substr(20)) {
    position.index = position.index << 8 | static_cast<uint8_t>(byte);
  }
  return position;
}

Result<Change> decode(ByteCursor& cursor, uint8_t version) {
  Change change;
  const uint8_t kind = cursor.u8();
  change.subject = Offset(cursor.varint());
  change.by = cursor.bytes();
  change.what = cursor.bytes();
  change.reason = cursor.bytes();
  change.ad_id = cursor.bytes();
  change.advertiser_id = cursor.bytes();
  change.minute_ms = cursor.svarint();
  change.clicks = cursor.svarint();
  if (!cursor.done() || version != kVersion || kind < 1 || kind > 2) {
    return Error(Errc::corrupt, "a change in the state store is malformed or of a newer version");
  }
  change.kind = static_cast<Change::Kind>(kind);
  return change;
}

}  // namespace

std::string_view to_string(Change::Kind kind) {
  return kind == Change::Kind::review ? "review" : "repair";
}

Changes::Changes(state::Slot slot, state::Store& store)
    : slot_(slot),
      overlay_(store, state::kChangesSpace),
      expiry_(first_key(slot), first_key(state::Slot::of_number(slot.value() + 1))) {}

void Changes::add(ChangePosition position, const Change& change, int64_t age_ms) {
  std::string value;
  state::put_birth(kVersion, age_ms, value);
  ByteWriter writer(value);
  writer.u8(static_cast<uint8_t>(change.kind));
  writer.varint(change.subject.value());
  writer.bytes(change.by);
  writer.bytes(change.what);
  writer.bytes(change.reason);
  writer.bytes(change.ad_id);
  writer.bytes(change.advertiser_id);
  writer.svarint(change.minute_ms);
  writer.svarint(change.clicks);
  overlay_.put(key_of(slot_, position), std::move(value));
}

Result<std::vector<Changes::Listed>> Changes::list(const ChangePosition& from, LogMs to,
                                                   size_t limit, int64_t age_ms) const {
  std::vector<Listed> listed;
  std::optional<Error> wrong;
  TRY(overlay_.scan(key_of(slot_, from), key_of(slot_, {to, Offset(0), 0}),
                    [&](std::string_view key, std::string_view value) {
                      if (listed.size() == limit) return false;
                      ByteCursor cursor(value);
                      const uint8_t version = cursor.u8();
                      if (state::expired(static_cast<int64_t>(cursor.varint()), age_ms))
                        return true;
                      auto change = decode(cursor, version);
                      if (change && key.size() == kKeyBytes) {
                        listed.push_back({position_of(key), *std::move(change)});
                      } else {
                        wrong = change ? Error(Errc::corrupt,
                                               "a change's key in the state store is malformed")
                                       : std::move(change).error();
                      }
                      return !wrong;
                    }));
  if (wrong) return *std::move(wrong);
  return listed;
}

Status Changes::checkpoint(state::Batch& batch, int64_t age_ms) {
  TRY(expiry_.run(overlay_, age_ms, batch));
  overlay_.checkpoint(batch);
  return {};
}

}  // namespace clickmill::stream
