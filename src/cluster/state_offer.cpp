// Offer: u8 version 1 | varint transfer | varint term | bytes membership (codec.cpp in raft/) |
//   svarint for each table, before which its rows are deleted | head (state_pieces.cpp)
// Question: u8 kind | varint partition | varint transfer | bytes cursor
#include "cluster/state_offer.h"

#include "base/bytes.h"
#include "raft/codec.h"

namespace clickmill::cluster {
namespace {

constexpr uint8_t kVersion = 1;

}  // namespace

std::string encode(const StateOffer& offer) {
  std::string members;
  raft::encode_membership(offer.members, members);
  std::string out;
  ByteWriter writer(out);
  writer.u8(kVersion);
  writer.varint(offer.transfer);
  writer.varint(offer.term.value());
  writer.bytes(members);
  for (const int64_t time : offer.deleted_before) writer.svarint(time);
  writer.raw(stream::encode_state_head(offer.head));
  return out;
}

Result<StateOffer> decode_state_offer(std::string_view bytes) {
  ByteCursor cursor(bytes);
  const uint8_t version = cursor.u8();
  StateOffer offer;
  offer.transfer = cursor.varint();
  offer.term = Term(cursor.varint());
  const auto members = cursor.bytes();
  for (int64_t& time : offer.deleted_before) time = cursor.svarint();
  if (!cursor.ok() || version != kVersion)
    return Error(Errc::corrupt, "the offer of a state is malformed or of a newer version");
  offer.members = TRY(raft::decode_membership(members));
  offer.head = TRY(stream::decode_state_head(cursor.rest()));
  return offer;
}

std::string encode(const StateQuestion& question) {
  std::string out;
  ByteWriter writer(out);
  writer.u8(static_cast<uint8_t>(question.kind));
  writer.varint(question.partition.value());
  writer.varint(question.transfer);
  writer.bytes(question.cursor);
  return out;
}

Result<StateQuestion> decode_state_question(std::string_view bytes) {
  ByteCursor cursor(bytes);
  const uint8_t kind = cursor.u8();
  const uint64_t partition = cursor.varint();
  StateQuestion question;
  question.transfer = cursor.varint();
  question.cursor = cursor.bytes();
  if (!cursor.done() || kind > static_cast<uint8_t>(StateQuestion::Kind::end) ||
      partition > UINT32_MAX)
    return Error(Errc::invalid, "a question for a state is malformed");
  question.kind = static_cast<StateQuestion::Kind>(kind);
  question.partition = PartitionId(static_cast<uint32_t>(partition));
  return question;
}

}  // namespace clickmill::cluster
