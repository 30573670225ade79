// A message between members:
//   varint from | varint to | varint term | u8 body | the body's fields as varints, in the
//   order of message.h; flags and reasons as u8
// An append ends with: varint count | entries, each: varint count | u8 kind | varint term |
//   svarint append_ms | bytes payload. The first begins behind prev, each further one behind
//   the one before.
// A membership: voters, leaving, learners, each: varint count | (bytes node, varint storage)...
#include "raft/codec.h"

#include "base/bytes.h"

namespace clickmill::raft {
namespace {

constexpr uint64_t kMembersMost = 1000;
// An entry on the wire is at least so long; more than fit are not prepared for.
constexpr uint64_t kEntryBytesLeast = 5;
// What a message, and an entry without its payload, take at most, about.
constexpr size_t kMessageBytes = 96;
constexpr size_t kEntryBytes = 32;

void write_members(const std::vector<Member>& members, ByteWriter& writer) {
  writer.varint(members.size());
  for (const Member& member : members) {
    writer.bytes(member.node);
    writer.varint(member.storage.value());
  }
}

std::vector<Member> read_members(ByteCursor& cursor) {
  std::vector<Member> members;
  const uint64_t count = cursor.varint();
  if (count > kMembersMost) cursor.fail();
  for (uint64_t i = 0; i < count && cursor.ok(); ++i) {
    std::string node(cursor.bytes());
    members.push_back({std::move(node), StorageId(cursor.varint())});
  }
  return members;
}

/// Writes a body's fields behind the number of its kind.
struct BodyWriter {
  ByteWriter& writer;
  const EntryOf& entry_of;

  void operator()(const VoteRequest& body) const {
    writer.u8(body.pre ? 1 : 0);
    writer.varint(body.last.value());
    writer.varint(body.last_term.value());
  }
  void operator()(const VoteAnswer& body) const {
    writer.u8(body.pre ? 1 : 0);
    writer.u8(body.granted ? 1 : 0);
  }
  void operator()(const Append& body) const {
    writer.varint(body.prev.value());
    writer.varint(body.prev_term.value());
    writer.varint(body.committed.value());
    writer.varint(body.match.value());
    writer.varint(body.read_id);
    writer.varint(body.entries.size());
    for (const EntryHead& head : body.entries) {
      const log::Entry& entry = entry_of(head);
      writer.varint(entry.count);
      writer.u8(entry.kind);
      writer.varint(entry.term.value());
      writer.svarint(entry.append_ms.value());
      writer.bytes(entry.payload);
    }
  }
  void operator()(const AppendAnswer& body) const {
    writer.varint(body.acked.value());
    writer.u8(static_cast<uint8_t>(body.refusal));
    writer.varint(body.hint.value());
    writer.varint(body.hint_term.value());
    writer.varint(body.committed.value());
    writer.varint(body.read_id);
  }
  void operator()(const TakeOver&) const {}
  void operator()(const Behind& body) const { writer.varint(body.at_least.value()); }
};

Status read_entries(ByteCursor& cursor, Append& append, std::vector<log::Entry>& entries) {
  const uint64_t count = cursor.varint();
  if (count > cursor.rest().size() / kEntryBytesLeast) cursor.fail();
  Offset end = append.prev;
  for (uint64_t i = 0; i < count && cursor.ok(); ++i) {
    log::Entry entry;
    entry.first = end + 1;
    const uint64_t offsets = cursor.varint();
    if (offsets == 0 || offsets > UINT32_MAX || end.value() > UINT64_MAX / 2) cursor.fail();
    entry.count = static_cast<uint32_t>(offsets);
    entry.kind = cursor.u8();
    entry.term = Term(cursor.varint());
    entry.append_ms = LogMs(cursor.svarint());
    entry.payload = cursor.bytes();
    if (!cursor.ok()) break;
    end = entry.last();
    append.entries.push_back(TRY(head_of(entry)));
    entries.push_back(std::move(entry));
  }
  return {};
}

Result<decltype(Message::body)> read_body(uint8_t kind, ByteCursor& cursor,
                                          std::vector<log::Entry>& entries) {
  switch (kind) {
    case 0: {
      VoteRequest body;
      body.pre = cursor.u8() != 0;
      body.last = Offset(cursor.varint());
      body.last_term = Term(cursor.varint());
      return {body};
    }
    case 1: {
      VoteAnswer body;
      body.pre = cursor.u8() != 0;
      body.granted = cursor.u8() != 0;
      return {body};
    }
    case 2: {
      Append body;
      body.prev = Offset(cursor.varint());
      body.prev_term = Term(cursor.varint());
      body.committed = Offset(cursor.varint());
      body.match = Offset(cursor.varint());
      body.read_id = cursor.varint();
      TRY(read_entries(cursor, body, entries));
      return {std::move(body)};
    }
    case 3: {
      AppendAnswer body;
      body.acked = Offset(cursor.varint());
      const uint8_t refusal = cursor.u8();
      if (refusal > static_cast<uint8_t>(Refusal::full)) cursor.fail();
      body.refusal = static_cast<Refusal>(refusal);
      body.hint = Offset(cursor.varint());
      body.hint_term = Term(cursor.varint());
      body.committed = Offset(cursor.varint());
      body.read_id = cursor.varint();
      return {body};
    }
    case 4: return {TakeOver{}};
    case 5: return {Behind{Offset(cursor.varint())}};
    default: return Error(Errc::corrupt, "a message of an unknown kind");
  }
}

}  // namespace

void encode_membership(const Membership& membership, std::string& out) {
  ByteWriter writer(out);
  write_members(membership.voters, writer);
  write_members(membership.leaving, writer);
  write_members(membership.learners, writer);
}

Result<Membership> decode_membership(std::string_view bytes) {
  ByteCursor cursor(bytes);
  Membership membership;
  membership.voters = read_members(cursor);
  membership.leaving = read_members(cursor);
  membership.learners = read_members(cursor);
  if (!cursor.done() || membership.voters.empty())
    return Error(Errc::corrupt, "the members of a group are malformed");
  return membership;
}

Result<EntryHead> head_of(const log::Entry& entry) {
  EntryHead head;
  head.first = entry.first;
  head.count = entry.count;
  head.term = entry.term;
  head.bytes = static_cast<uint32_t>(entry.payload.size());
  head.append_ms = entry.append_ms;
  if (entry.kind == kMembershipKind)
    head.membership = std::make_shared<Membership>(TRY(decode_membership(entry.payload)));
  return head;
}

std::string encode_message(const Message& message, const EntryOf& entry_of) {
  std::string out;
  size_t bytes = kMessageBytes;
  if (const auto* append = std::get_if<Append>(&message.body)) {
    for (const EntryHead& head : append->entries) bytes += kEntryBytes + head.bytes;
  }
  out.reserve(bytes);
  ByteWriter writer(out);
  writer.varint(message.from.value());
  writer.varint(message.to.value());
  writer.varint(message.term.value());
  writer.u8(static_cast<uint8_t>(message.body.index()));
  std::visit(BodyWriter{writer, entry_of}, message.body);
  return out;
}

Result<Received> decode_message(std::string_view bytes) {
  ByteCursor cursor(bytes);
  Received received;
  received.message.from = StorageId(cursor.varint());
  received.message.to = StorageId(cursor.varint());
  received.message.term = Term(cursor.varint());
  const uint8_t kind = cursor.u8();
  received.message.body = TRY(read_body(kind, cursor, received.entries));
  if (!cursor.done()) return Error(Errc::corrupt, "a message is malformed");
  return received;
}

}  // namespace clickmill::raft
