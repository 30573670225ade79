// Messages (little-endian; texts are a varint length and their bytes):
//
//   u32 bytes that follow this field, at most 4092 | u8 type | body
//
//   type body
//      1 hello:   8 bytes magic | u16 lowest, u16 highest protocol | text node_id
//                 | u8 channel | u64 link | 32 bytes nonce | u64 cluster id | u64 epoch
//                 | u64 its random | u64 storage id | u32 partitions | u32 replication
//                 | text version | u16 lowest, u16 highest feature level
//                 | u16 what its operator lets it rise to | u16 its cluster's, 0: not known
//                 | what later versions add
//      2 proof:   u8 refusal, 0 for none | text why | 32 bytes HMAC-SHA256
//      3 refusal: u8 refusal | text why; nothing follows
//
//   client: hello                         server:
//                                                   hello, or refusal (protocol)
//           proof, or refusal (protocol)
//                                                   proof, or refusal (secret)
//           (refusal (secret))
//
// binding = SHA-256(client's hello message, server's hello message, TLS binding or nothing)
// proof   = HMAC(secret, "clickmill peer 1" | u8 role | binding | refusal, why as sent)
// key     = HMAC(secret, "key" | u8 role of the sender | binding)
//
// Each hello has a new nonce, so a recorded proof fits no other connection, and the role in it
// keeps a proof from being sent back to who made it. A refusal for what the hellos say is told
// within the proofs: so both know that it comes from who it seems to, and the one that was left
// behind can believe it. What stands before the channel, and the frames of messages, are the
// same in all protocols. A reader ignores what follows the fields it knows; the binding covers it.
// A hello that ends behind the version is of a node that knows no feature level: it runs the first.
#include "peer/handshake.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <tuple>
#include <utility>

#include "base/assert.h"
#include "base/bytes.h"

namespace clickmill::peer {
namespace {

constexpr std::string_view kMagic = "cm peer\n";
constexpr size_t kLengthBytes = 4;
constexpr size_t kProofBytes = 32;
constexpr size_t kNameBytesMost = 64;
constexpr size_t kWhyBytesMost = 1024;

enum class Type : uint8_t { hello = 1, proof = 2, refusal = 3 };

Error strange(const std::string& why) {
  return Error(Errc::invalid, "no clickmill node speaks so: " + why);
}

std::string message_of(Type type, std::string_view body) {
  std::string out;
  ByteWriter writer(out);
  writer.u32(static_cast<uint32_t>(1 + body.size()));
  writer.u8(static_cast<uint8_t>(type));
  writer.raw(body);
  return out;
}

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= kNameBytesMost &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

Refusal refusal_of(uint8_t code) {
  return code <= static_cast<uint8_t>(Refusal::feature_level) ? Refusal{code} : Refusal::other;
}

/// What a stranger's first bytes are, where they are well known.
std::string guessed(std::string_view first) {
  // A greeting of TLS, or its complaint about ours.
  if (first.substr(0, 2) == "\x16\x03" || first.substr(0, 2) == "\x15\x03")
    return "it speaks TLS, and cluster.tls is not set here";
  if (first == "GET " || first == "POST" || first == "HEAD") return "it speaks HTTP";
  return "its first bytes are no hello";
}

std::string runs_text(const Hello& node) {
  return fmt::format("{} (version {}) runs feature level{}", node.node_id, node.version,
                     node.levels.lowest == node.levels.highest
                         ? fmt::format(" {}", node.levels.highest)
                         : fmt::format("s {} to {}", node.levels.lowest, node.levels.highest));
}

}  // namespace

/// A level that one of them knows is the cluster's or was: it only rises.
std::string misfit_of_levels(const Hello& a, const Hello& b) {
  const FeatureLevel level = std::max(a.level, b.level);
  for (const Hello& node : {std::cref(a), std::cref(b)}) {
    if (level != 0 && !node.levels.has(level))
      return fmt::format("{}, and the cluster is at {}", runs_text(node), level);
  }
  if (a.levels.highest < b.levels.lowest || b.levels.highest < a.levels.lowest)
    return fmt::format("{}, {}: none in common", runs_text(a), runs_text(b));
  return {};
}

Handshake::Handshake(Options options) : options_(std::move(options)) {
  CM_ASSERT(!options_.secret.empty() && options_.nonce.size() == kNonceBytes);
  if (options_.role == Role::client) send_hello();
}

Status Handshake::step(std::string_view& bytes) {
  while (stage_ != Stage::over && !bytes.empty()) {
    if (input_.size() < kLengthBytes) {
      const size_t some = std::min(kLengthBytes - input_.size(), bytes.size());
      input_.append(bytes.substr(0, some));
      bytes.remove_prefix(some);
      if (input_.size() < kLengthBytes) return {};
    }
    const size_t size = kLengthBytes + size_t{ByteCursor(input_).u32()};
    if (size == kLengthBytes || size > kMessageBytesMost) return strange(guessed(input_));
    const size_t some = std::min(size - input_.size(), bytes.size());
    input_.append(bytes.substr(0, some));
    bytes.remove_prefix(some);
    if (input_.size() < size) return {};
    TRY(take(std::exchange(input_, {})));
  }
  return {};
}

Status Handshake::take(std::string_view message) {
  const auto type = static_cast<uint8_t>(message[kLengthBytes]);
  const std::string_view body = message.substr(kLengthBytes + 1);
  if (type == static_cast<uint8_t>(Type::refusal)) return take_refusal(body);
  if (stage_ == Stage::hello && type == static_cast<uint8_t>(Type::hello))
    return take_hello(message);
  if (stage_ == Stage::proof && type == static_cast<uint8_t>(Type::proof)) return take_proof(body);
  return strange("a message of type " + std::to_string(type) + " has no place here");
}

std::string Handshake::hello() const {
  const Hello& self = options_.self;
  std::string body;
  ByteWriter writer(body);
  writer.raw(kMagic);
  writer.u16(options_.protocol_lowest);
  writer.u16(options_.protocol_highest);
  writer.bytes(self.node_id);
  writer.u8(static_cast<uint8_t>(options_.channel));
  writer.u64(options_.link);
  writer.raw(options_.nonce);
  writer.u64(self.cluster_id);
  writer.u64(self.epoch);
  writer.u64(self.epoch_random);
  writer.u64(self.storage_id);
  writer.u32(self.partitions);
  writer.u32(self.replication);
  writer.bytes(std::string_view(self.version).substr(0, kNameBytesMost));
  writer.u16(self.levels.lowest);
  writer.u16(self.levels.highest);
  writer.u16(self.level_most);
  writer.u16(self.level);
  return message_of(Type::hello, body);
}

void Handshake::send_hello() {
  sent_hello_ = hello();
  output_ += sent_hello_;
}

Status Handshake::take_hello(std::string_view message) {
  ByteCursor cursor(message.substr(kLengthBytes + 1));
  if (cursor.raw(kMagic.size()) != kMagic) return strange("its hello has another magic");
  const uint16_t lowest = cursor.u16();
  const uint16_t highest = cursor.u16();
  peer_.node_id = cursor.bytes();
  if (!cursor.ok() || !is_name(peer_.node_id)) {
    peer_.node_id.clear();
    return strange("its hello has no node_id");
  }
  protocol_ = std::min(highest, options_.protocol_highest);
  if (protocol_ < std::max(lowest, options_.protocol_lowest)) {
    refuse({Refusal::protocol,
            fmt::format("{} speaks the peer protocols {} to {}, {} speaks {} to {}",
                        options_.self.node_id, options_.protocol_lowest, options_.protocol_highest,
                        peer_.node_id, lowest, highest)});
    return {};
  }
  const uint8_t channel = cursor.u8();
  const uint64_t link = cursor.u64();
  cursor.raw(kNonceBytes);
  peer_.cluster_id = cursor.u64();
  peer_.epoch = cursor.u64();
  peer_.epoch_random = cursor.u64();
  peer_.storage_id = cursor.u64();
  peer_.partitions = cursor.u32();
  peer_.replication = cursor.u32();
  peer_.version = cursor.bytes().substr(0, kNameBytesMost);
  if (cursor.ok() && !cursor.done()) {
    peer_.levels.lowest = cursor.u16();
    peer_.levels.highest = cursor.u16();
    peer_.level_most = cursor.u16();
    peer_.level = cursor.u16();
  }
  if (!cursor.ok() || channel > static_cast<uint8_t>(Channel::bulk))
    return strange("its hello is cut short");
  stage_ = Stage::proof;
  if (options_.role == Role::server) {
    options_.channel = Channel{channel};
    options_.link = link;
    send_hello();
    binding_ = sha256(std::string(message) + sent_hello_ + options_.tls_binding);
  } else {
    binding_ = sha256(sent_hello_ + std::string(message) + options_.tls_binding);
    verdict_ = judge();
    send_proof();
  }
  return {};
}

std::string Handshake::proof_of(Role role, const Verdict& verdict) const {
  std::string bytes = "clickmill peer 1";
  ByteWriter writer(bytes);
  writer.u8(static_cast<uint8_t>(role));
  writer.raw(binding_);
  writer.u8(static_cast<uint8_t>(verdict.code));
  writer.bytes(verdict.text);
  return hmac_sha256(options_.secret, bytes);
}

std::string Handshake::key(Role direction) const {
  CM_ASSERT(!binding_.empty());
  std::string bytes = "key";
  ByteWriter(bytes).u8(static_cast<uint8_t>(direction));
  return hmac_sha256(options_.secret, bytes + binding_);
}

void Handshake::send_proof() {
  std::string body;
  ByteWriter writer(body);
  writer.u8(static_cast<uint8_t>(verdict_.code));
  writer.bytes(verdict_.text);
  writer.raw(proof_of(options_.role, verdict_));
  output_ += message_of(Type::proof, body);
}

Status Handshake::take_proof(std::string_view body) {
  ByteCursor cursor(body);
  Verdict theirs;
  const uint8_t code = cursor.u8();
  theirs.code = Refusal{code};
  theirs.text = cursor.bytes();
  const std::string_view proof = cursor.raw(kProofBytes);
  if (!cursor.ok() || theirs.text.size() > kWhyBytesMost) return strange("its proof is cut short");
  if (!same_secret(proof, proof_of(other(options_.role), theirs))) {
    refuse({Refusal::secret,
            fmt::format("the secrets of {} and {} differ", options_.self.node_id, peer_.node_id)});
    return {};
  }
  proven_ = true;
  stage_ = Stage::over;
  if (options_.role == Role::server) {
    verdict_ = judge();
    // Both see it: then in the same words, so that two logs can be laid side by side.
    if (verdict_.code == theirs.code) verdict_.text = theirs.text;
    send_proof();
  }
  if (verdict_.code != Refusal::none) {
    refused_ = Refused{verdict_.code, verdict_.text, false};
  } else if (code != 0) {
    refused_ = Refused{refusal_of(code), theirs.text, true};
  }
  return {};
}

Status Handshake::take_refusal(std::string_view body) {
  ByteCursor cursor(body);
  const Refusal code = refusal_of(cursor.u8());
  std::string text(cursor.bytes().substr(0, kWhyBytesMost));
  if (!cursor.ok() || code == Refusal::none) return strange("its refusal is cut short");
  stage_ = Stage::over;
  refused_ = Refused{code, std::move(text), true};
  return {};
}

void Handshake::refuse(Verdict why) {
  std::string body;
  ByteWriter writer(body);
  writer.u8(static_cast<uint8_t>(why.code));
  writer.bytes(why.text);
  output_ += message_of(Type::refusal, body);
  stage_ = Stage::over;
  refused_ = Refused{why.code, std::move(why.text), false};
}

Handshake::Verdict Handshake::judge() const {
  Verdict verdict = judge_name();
  if (verdict.code == Refusal::none) verdict = judge_cluster();
  return verdict;
}

Handshake::Verdict Handshake::judge_name() const {
  const std::string& self = options_.self.node_id;
  const std::string& peer = peer_.node_id;
  if (peer == self) return {Refusal::own_name, fmt::format("two nodes are called {}", self)};
  if (options_.role == Role::client) {
    if (peer == options_.expected) return {};
    return {Refusal::other_node,
            fmt::format("{} called {}, and {} answered", self, options_.expected, peer)};
  }
  const auto& known = options_.known;
  if (std::find(known.begin(), known.end(), peer) == known.end()) {
    return {Refusal::unknown_node,
            fmt::format("{} is not among the cluster.peers of {}", peer, self)};
  }
  if (peer > self) {
    return {Refusal::other_node,
            fmt::format("{} called {}: the lower node_id is to call", peer, self)};
  }
  return {};
}

Handshake::Verdict Handshake::judge_cluster() const {
  const Hello& self = options_.self;
  const Hello& peer = peer_;
  // A node that belongs to none yet may join any, and has no epoch to compare.
  const bool both_belong = self.cluster_id != 0 && peer.cluster_id != 0;
  if (both_belong && self.cluster_id != peer.cluster_id) {
    return {Refusal::cluster,
            fmt::format("{} belongs to cluster {:016x}, {} to {:016x}", self.node_id,
                        self.cluster_id, peer.node_id, peer.cluster_id)};
  }
  if (both_belong && self.epoch != peer.epoch) {
    const auto& [old, newer] =
        self.epoch < peer.epoch ? std::tie(self, peer) : std::tie(peer, self);
    return {Refusal::epoch,
            fmt::format("{} is of epoch {}, {} of {}: {} was left behind by a forced recovery",
                        old.node_id, old.epoch, newer.node_id, newer.epoch, old.node_id)};
  }
  if (both_belong && self.epoch_random != peer.epoch_random) {
    return {Refusal::epoch, fmt::format("{} and {} were both recovered by force, each to an epoch "
                                        "{} of its own",
                                        self.node_id, peer.node_id, self.epoch)};
  }
  if (self.partitions != peer.partitions) {
    return {Refusal::partitions,
            fmt::format("{} has {} partitions, {} has {} (log.partitions)", self.node_id,
                        self.partitions, peer.node_id, peer.partitions)};
  }
  // Another cluster.replication is no reason: it changes on one node after the other, and nothing
  // moves before all want the same.
  if (auto why = misfit_of_levels(self, peer); !why.empty())
    return {Refusal::feature_level, std::move(why)};
  return {};
}

}  // namespace clickmill::peer
