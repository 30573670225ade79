// Head: u8 version 1 | bytes checkpoint (checkpoint.cpp) | varint bytes of keys, about
// Cursor: u8 stage | bytes space | bytes key | varint part | varint position
// Piece: bytes cursor of the next, empty behind the last | sections |
//   u64 XXH3-64 of everything before; a section is
//   u8 1 | bytes space | varint keys | { bytes key without its slot | bytes value }, or
//   u8 2 | varint part | varint position | bytes of the file
#include "stream/state_pieces.h"

#include "base/bytes.h"
#include "base/checksum.h"

namespace clickmill::stream {
namespace {

constexpr uint8_t kVersion = 1;
constexpr uint8_t kKeys = 1;
constexpr uint8_t kPartBytes = 2;

Error malformed(std::string_view what) {
  return Error(Errc::corrupt, std::string(what) + " of a state is damaged or of a newer version");
}

StatePiece::Keys read_keys(ByteCursor& cursor) {
  StatePiece::Keys keys;
  keys.space = cursor.bytes();
  const uint64_t count = cursor.varint();
  for (uint64_t i = 0; i < count && cursor.ok(); ++i) {
    const auto key = cursor.bytes();
    keys.values.emplace_back(key, cursor.bytes());
  }
  return keys;
}

StatePiece::PartBytes read_part_bytes(ByteCursor& cursor) {
  StatePiece::PartBytes out;
  out.part = cursor.varint();
  out.position = cursor.varint();
  out.bytes = cursor.bytes();
  return out;
}

}  // namespace

uint64_t StateHead::bytes() const {
  uint64_t sum = key_bytes;
  for (const store::PartMeta& part : record.parts) sum += part.bytes;
  return sum;
}

std::string encode_state_head(const StateHead& head) {
  std::string out;
  ByteWriter writer(out);
  writer.u8(kVersion);
  writer.bytes(encode_checkpoint(head.record));
  writer.varint(head.key_bytes);
  return out;
}

Result<StateHead> decode_state_head(std::string_view bytes) {
  ByteCursor cursor(bytes);
  if (cursor.u8() != kVersion) return malformed("the head");
  StateHead head;
  head.record = TRY(decode_checkpoint(cursor.bytes()));
  head.key_bytes = cursor.varint();
  if (!cursor.done()) return malformed("the head");
  return head;
}

std::string encode_state_cursor(const StateCursor& cursor) {
  std::string out;
  ByteWriter writer(out);
  writer.u8(static_cast<uint8_t>(cursor.stage));
  writer.bytes(cursor.space);
  writer.bytes(cursor.key);
  writer.varint(cursor.part);
  writer.varint(cursor.position);
  return out;
}

Result<StateCursor> decode_state_cursor(std::string_view bytes) {
  ByteCursor cursor(bytes);
  StateCursor out;
  const uint8_t stage = cursor.u8();
  out.space = cursor.bytes();
  out.key = cursor.bytes();
  out.part = cursor.varint();
  out.position = cursor.varint();
  if (!cursor.done() || stage > static_cast<uint8_t>(StateCursor::Stage::parts))
    return malformed("the place");
  out.stage = static_cast<StateCursor::Stage>(stage);
  return out;
}

void StatePieceWriter::begin_keys(std::string_view space) {
  end_keys();
  space_ = space;
}

void StatePieceWriter::add(std::string_view key, std::string_view value) {
  ByteWriter writer(keys_);
  writer.bytes(key);
  writer.bytes(value);
  ++count_;
}

void StatePieceWriter::end_keys() {
  if (count_ == 0) return;
  ByteWriter writer(sections_);
  writer.u8(kKeys);
  writer.bytes(space_);
  writer.varint(count_);
  writer.raw(keys_);
  keys_.clear();
  count_ = 0;
}

void StatePieceWriter::add(const StatePiece::PartBytes& bytes) {
  end_keys();
  ByteWriter writer(sections_);
  writer.u8(kPartBytes);
  writer.varint(bytes.part);
  writer.varint(bytes.position);
  writer.bytes(bytes.bytes);
}

std::string StatePieceWriter::finish(const StateCursor* next) {
  end_keys();
  std::string out;
  ByteWriter writer(out);
  writer.bytes(next == nullptr ? std::string() : encode_state_cursor(*next));
  writer.raw(sections_);
  append_checksum(out);
  return out;
}

Result<StatePiece> decode_state_piece(std::string_view bytes) {
  const auto body = before_checksum(bytes);
  if (!body) return malformed("a piece");
  ByteCursor cursor(*body);
  StatePiece piece;
  piece.next = cursor.bytes();
  while (cursor.ok() && !cursor.empty()) {
    switch (cursor.u8()) {
      case kKeys: piece.sections.emplace_back(read_keys(cursor)); break;
      case kPartBytes: piece.sections.emplace_back(read_part_bytes(cursor)); break;
      default: cursor.fail();
    }
  }
  if (!cursor.done()) return malformed("a piece");
  return piece;
}

}  // namespace clickmill::stream
