// Value in the meta space under slot | "checkpoint", little-endian:
//   u8 version 3 | varint applied | bytes settings | horizon (horizon.cpp) |
//   varint received, counted, duplicate, resent, review of reasons 1..5
//   (version 2: 1..4), accepted, rejected |
//   u64 running digest | varint digest offset | u64 digest |
//   varint next part | varint parts | { bytes part meta (store/part_meta.cpp) } |
//   u64 XXH3-64 of everything before
#include "stream/checkpoint.h"

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/damage.h"
#include "state/slots.h"

namespace clickmill::stream {
namespace {

constexpr uint8_t kVersion = 3;
constexpr uint8_t kVersionOfFourReasons = 2;

void encode_tally(const Tally& tally, ByteWriter& writer) {
  writer.varint(tally.received);
  writer.varint(tally.counted);
  writer.varint(tally.duplicate);
  writer.varint(tally.resent);
  for (size_t i = 1; i < kReasons; ++i) writer.varint(tally.review[i]);
  writer.varint(tally.accepted);
  writer.varint(tally.rejected);
}

Tally decode_tally(ByteCursor& cursor, size_t reasons) {
  Tally tally;
  tally.received = cursor.varint();
  tally.counted = cursor.varint();
  tally.duplicate = cursor.varint();
  tally.resent = cursor.varint();
  for (size_t i = 1; i < reasons; ++i) tally.review[i] = cursor.varint();
  tally.accepted = cursor.varint();
  tally.rejected = cursor.varint();
  return tally;
}

}  // namespace

std::string checkpoint_key(state::Slot slot) {
  std::string key = state::key_of(slot);
  key += "checkpoint";
  return key;
}

Result<Checkpoint> decode_checkpoint(std::string_view bytes) {
  if (bytes.size() < 8) return Error(Errc::corrupt, "checkpoint is cut off");
  const auto body = before_checksum(bytes);
  if (!body) return Error(Errc::corrupt, "checkpoint fails its checksum");
  ByteCursor cursor(*body);
  const uint8_t version = cursor.u8();
  if (version > kVersion) return of_later_version("the checkpoint", version, kVersion);
  if (version < kVersionOfFourReasons)
    return Error(Errc::corrupt, "checkpoint is of another version");
  Checkpoint checkpoint;
  checkpoint.applied = Offset(cursor.varint());
  checkpoint.settings = TRY(decode_settings(cursor.bytes()));
  checkpoint.horizon = TRY(Horizon::decode(cursor));
  checkpoint.tally = decode_tally(cursor, version == kVersion ? kReasons : 5);
  checkpoint.running_digest = cursor.u64();
  checkpoint.digest.offset = Offset(cursor.varint());
  checkpoint.digest.value = cursor.u64();
  checkpoint.next_part = cursor.varint();
  const uint64_t parts = cursor.varint();
  for (uint64_t i = 0; i < parts && cursor.ok(); ++i) {
    ByteCursor part(cursor.bytes());
    checkpoint.parts.push_back(TRY(store::decode_part_meta(part)));
  }
  if (!cursor.done()) return Error(Errc::corrupt, "checkpoint is malformed");
  return checkpoint;
}

uint64_t Tally::review_total() const {
  uint64_t total = 0;
  for (const uint64_t count : review) total += count;
  return total;
}

std::string encode_checkpoint(const Checkpoint& checkpoint) {
  std::string out;
  ByteWriter writer(out);
  writer.u8(kVersion);
  writer.varint(checkpoint.applied.value());
  std::string piece;
  encode_settings(checkpoint.settings, piece);
  writer.bytes(piece);
  checkpoint.horizon.encode(out);
  encode_tally(checkpoint.tally, writer);
  writer.u64(checkpoint.running_digest);
  writer.varint(checkpoint.digest.offset.value());
  writer.u64(checkpoint.digest.value);
  writer.varint(checkpoint.next_part);
  writer.varint(checkpoint.parts.size());
  for (const store::PartMeta& part : checkpoint.parts) {
    piece.clear();
    store::encode_part_meta(part, piece);
    writer.bytes(piece);
  }
  append_checksum(out);
  return out;
}

void put_checkpoint(state::Slot slot, const Checkpoint& checkpoint, state::Batch& batch) {
  batch.put(state::kMetaSpace, checkpoint_key(slot), encode_checkpoint(checkpoint));
}

Result<std::optional<Checkpoint>> read_checkpoint(state::Slot slot, state::View& store) {
  const auto value = TRY(store.get(state::kMetaSpace, checkpoint_key(slot)));
  if (!value) return std::optional<Checkpoint>();
  auto checkpoint = decode_checkpoint(*value);
  if (!checkpoint) return std::move(checkpoint).error();
  return std::optional<Checkpoint>(*std::move(checkpoint));
}

}  // namespace clickmill::stream
