// Messages of the founding, version 2. Little-endian; v: LEB128; a string: v length, bytes.
// What carries them has a checksum.
//
//   1  version, 2
//   1  kind
//   kind 1, Introduction                    kind 2, Offer
//      8  life, not 0                          8  life, not 0
//      8  heard_life                           8  to_life, not 0
//      1  holds, 0 to 2                        8  cluster_id, not 0
//      8  cluster_id, not 0 with holds 2       8  epoch
//      8  storage, not 0                       8  epoch_random
//      4  partitions                           4  partitions
//      4  replication                          8  seed
//      v  number of nodes, 1 to 64             v  number of founders, 1 to 64
//         string  name, 1 to 64 bytes             string  name, 1 to 64 bytes
//                                                 8  storage, not 0
//                                              4  copies
//
// Another version is refused by name.

#include "cluster/founding_message.h"

#include <fmt/format.h>

#include "base/bytes.h"

namespace clickmill::cluster {
namespace {

constexpr uint8_t kVersion = 2;
constexpr uint8_t kIntroduction = 1;
constexpr uint8_t kOffer = 2;
constexpr uint64_t kNodesMost = 64;
constexpr size_t kNameMost = 64;

void write(ByteWriter& out, const Introduction& introduction) {
  out.u8(kIntroduction);
  out.u64(introduction.life);
  out.u64(introduction.heard_life);
  out.u8(static_cast<uint8_t>(introduction.holds));
  out.u64(introduction.cluster_id);
  out.u64(introduction.storage.value());
  out.u32(introduction.partitions);
  out.u32(introduction.replication);
  out.varint(introduction.nodes.size());
  for (const std::string& node : introduction.nodes) out.bytes(node);
}

void write(ByteWriter& out, const Offer& offer) {
  out.u8(kOffer);
  out.u64(offer.life);
  out.u64(offer.to_life);
  out.u64(offer.founded.cluster_id);
  out.u64(offer.founded.epoch);
  out.u64(offer.founded.epoch_random);
  out.u32(offer.founded.partitions);
  out.u64(offer.founded.seed);
  out.varint(offer.founded.founders.size());
  for (const raft::Member& member : offer.founded.founders) {
    out.bytes(member.node);
    out.u64(member.storage.value());
  }
  out.u32(offer.founded.copies);
}

uint64_t not_zero(ByteCursor& in) {
  const uint64_t value = in.u64();
  if (value == 0) in.fail();
  return value;
}

std::string read_name(ByteCursor& in) {
  const std::string_view name = in.bytes();
  if (name.empty() || name.size() > kNameMost) in.fail();
  return std::string(name);
}

uint64_t read_count(ByteCursor& in) {
  const uint64_t count = in.varint();
  if (count == 0 || count > kNodesMost) in.fail();
  return count;
}

Introduction read_introduction(ByteCursor& in) {
  Introduction introduction;
  introduction.life = not_zero(in);
  introduction.heard_life = in.u64();
  const uint8_t holds = in.u8();
  if (holds > static_cast<uint8_t>(Holds::membership)) in.fail();
  introduction.holds = static_cast<Holds>(holds);
  introduction.cluster_id = in.u64();
  if ((introduction.holds == Holds::membership) != (introduction.cluster_id != 0)) in.fail();
  introduction.storage = raft::StorageId(not_zero(in));
  introduction.partitions = in.u32();
  introduction.replication = in.u32();
  for (uint64_t left = read_count(in); left > 0 && in.ok(); --left)
    introduction.nodes.push_back(read_name(in));
  return introduction;
}

Offer read_offer(ByteCursor& in) {
  Offer offer;
  offer.life = not_zero(in);
  offer.to_life = not_zero(in);
  offer.founded.cluster_id = not_zero(in);
  offer.founded.epoch = in.u64();
  offer.founded.epoch_random = in.u64();
  offer.founded.partitions = in.u32();
  offer.founded.seed = in.u64();
  for (uint64_t left = read_count(in); left > 0 && in.ok(); --left) {
    std::string name = read_name(in);
    offer.founded.founders.push_back({std::move(name), raft::StorageId(not_zero(in))});
  }
  offer.founded.copies = in.u32();
  return offer;
}

Error malformed() { return Error(Errc::invalid, "founding message is malformed"); }

template <typename Body>
Result<FoundingMessage> whole(const ByteCursor& in, Body body) {
  if (!in.done()) return malformed();
  return FoundingMessage(std::in_place_type<Body>, std::move(body));
}

}  // namespace

std::string encode(const FoundingMessage& message) {
  std::string bytes;
  ByteWriter out(bytes);
  out.u8(kVersion);
  std::visit([&out](const auto& body) { write(out, body); }, message);
  return bytes;
}

Result<FoundingMessage> decode_founding(std::string_view bytes) {
  ByteCursor in(bytes);
  const uint8_t version = in.u8();
  if (in.ok() && version != kVersion) {
    return Error(Errc::invalid,
                 fmt::format("founding message of version {}, not {}", version, kVersion));
  }
  switch (in.u8()) {
    case kIntroduction: return whole(in, read_introduction(in));
    case kOffer: return whole(in, read_offer(in));
    default: return malformed();
  }
}

}  // namespace clickmill::cluster
