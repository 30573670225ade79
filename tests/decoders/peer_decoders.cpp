#include <string>
#include <vector>

#include "base/assert.h"
#include "base/bytes.h"
#include "decoders/decoders.h"
#include "peer/frame.h"
#include "peer/handshake.h"

namespace clickmill::decoders {
namespace {

using peer::Channel;
using peer::Frame;
using peer::FrameReader;
using peer::FrameWriter;
using peer::Handshake;
using peer::Lane;

const std::string kKey(32, 'k');

// A frame's bytes: the first says which connection, then frames follow.

std::string frame_example(Random& random) {
  const bool bulk = random.one_in(3);
  FrameWriter writer(kKey, 1);
  std::vector<std::string> pieces = {std::string(1, bulk ? '\1' : '\0')};
  for (uint64_t left = 1 + random.below(4); left > 0; --left) {
    const Lane lane = bulk ? Lane::bulk : Lane{static_cast<uint8_t>(random.below(3))};
    writer.write({lane, std::string(random.below(100), 'p')}, pieces);
  }
  std::string all;
  for (const auto& piece : pieces) all += piece;
  return all;
}

/// The same bytes, each frame that is whole vouched for.
std::string vouched_for(std::string bytes) {
  for (size_t at = 0; bytes.size() - at >= peer::kFrameOverhead;) {
    const size_t size = 4 + size_t{ByteCursor(std::string_view(bytes).substr(at)).u32()};
    if (size < peer::kFrameOverhead || size > bytes.size() - at) break;
    const size_t body = size - peer::Mac::kBytes;
    const std::string_view covered = std::string_view(bytes).substr(at, body);
    bytes.replace(at + body, peer::Mac::kBytes,
                  peer::hmac_sha256(kKey, covered).substr(0, peer::Mac::kBytes));
    at += size;
  }
  return bytes;
}

void check_frames(std::string_view given) {
  if (given.empty()) return;
  const Channel channel = (given[0] & 1) != 0 ? Channel::bulk : Channel::fast;
  const std::string bytes = vouched_for(std::string(given.substr(1)));
  FrameReader reader(channel, kKey, 1);
  std::vector<std::string> pieces;
  FrameWriter writer(kKey, 1);
  std::string_view rest = bytes;
  while (true) {
    auto frame = reader.next(rest);
    if (!frame || !*frame) break;
    CM_ASSERT(peer::channel_of((*frame)->lane) == channel);
    writer.write(**std::move(frame), pieces);
  }
  // What it took is what a writer would have made of it, to the byte.
  std::string taken;
  for (const auto& piece : pieces) taken += piece;
  CM_ASSERT(bytes.starts_with(taken));
}

// What a caller says; the first byte: to whom has not said hello yet, or has.

Handshake::Options options(Handshake::Role role, const char* self) {
  Handshake::Options out;
  out.role = role;
  out.self.node_id = self;
  out.secret = "the secret";
  out.nonce = std::string(Handshake::kNonceBytes, self[1]);
  out.expected = "n2";
  out.known = {"n1"};
  return out;
}

std::string handshake_example(Random& random) {
  Handshake client(options(Handshake::Role::client, "n1"));
  const std::string hello = client.take_output();
  if (random.one_in(2)) return '\0' + hello;
  Handshake server(options(Handshake::Role::server, "n2"));
  std::string_view bytes = hello;
  CM_ASSERT(server.step(bytes).has_value());
  const std::string answer = server.take_output();
  bytes = answer;
  CM_ASSERT(client.step(bytes).has_value());
  return '\1' + client.take_output();
}

void check_handshake(std::string_view given) {
  if (given.empty()) return;
  Handshake server(options(Handshake::Role::server, "n2"));
  Handshake client(options(Handshake::Role::client, "n1"));
  const std::string hello = client.take_output();
  if ((given[0] & 1) != 0) {
    std::string_view bytes = hello;
    CM_ASSERT(server.step(bytes).has_value());
  }
  std::string_view bytes = given.substr(1);
  const Status spoken = server.step(bytes);
  CM_ASSERT(bytes.empty() || !spoken || server.done() || server.refused());
  CM_ASSERT(!server.done() || server.proven());
  CM_ASSERT(server.take_output().size() <= 2 * Handshake::kMessageBytesMost);
  if (server.peer().node_id.empty()) return;
  CM_ASSERT(server.peer().node_id.size() <= 64 && server.peer().version.size() <= 64);
}

}  // namespace

const Decoder kPeerFrame = {"peer frame", frame_example, check_frames};
const Decoder kPeerHandshake = {"peer handshake", handshake_example, check_handshake};

}  // namespace clickmill::decoders
