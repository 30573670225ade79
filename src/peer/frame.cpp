// A frame (little-endian):
//
//   offset size field
//        0    4 bytes that follow this field: 28 + payload
//        4    1 lane: 0 beat, 1 group, 2 call on the fast connection, 3 bulk on the other
//        5    1 kind: 0; others may come
//        6    2 version: the protocol that the handshake agreed on
//        8    8 number: 0 for a connection's first frame in this direction, then one more each
//       16    n payload
//   16 + n   16 the front of HMAC-SHA256, under the direction's key, over all before it
//
// The HMAC is the checksum too: a torn, damaged, repeated, left out, moved or foreign frame
// shows by it or by the number, since each connection and direction has its own key. A reader
// that finds such a frame can't know where the next begins, so the connection ends with it.
#include "peer/frame.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/bytes.h"

namespace clickmill::peer {
namespace {

constexpr size_t kHeaderBytes = 16;
constexpr size_t kLengthBytes = 4;
static_assert(kHeaderBytes + Mac::kBytes == kFrameOverhead);
/// Payloads from here on are not copied.
constexpr size_t kOwnPieceBytes = 32 << 10;
/// A length is only a claim until its bytes have come.
constexpr size_t kReservedMost = 64 << 10;

std::string_view view(const Mac::Tag& tag) { return {tag.data(), tag.size()}; }

}  // namespace

void FrameWriter::write(Frame&& frame, std::vector<std::string>& pieces) {
  CM_ASSERT(frame.payload.size() <= payload_bytes_most(frame.lane));
  std::string header;
  ByteWriter writer(header);
  writer.u32(static_cast<uint32_t>(kFrameOverhead - kLengthBytes + frame.payload.size()));
  writer.u8(static_cast<uint8_t>(frame.lane));
  writer.u8(0);
  writer.u16(version_);
  writer.u64(next_++);
  mac_.begin();
  mac_.add(header);
  mac_.add(frame.payload);
  const Mac::Tag tag = mac_.finish();
  if (pieces.empty()) pieces.emplace_back();
  pieces.back().append(header);
  if (frame.payload.size() < kOwnPieceBytes) {
    pieces.back().append(frame.payload).append(view(tag));
  } else {
    pieces.push_back(std::move(frame.payload));
    pieces.emplace_back(view(tag));
  }
}

Error FrameReader::broken(const std::string& why) {
  broken_ = true;
  return Error(Errc::corrupt, "frame " + std::to_string(next_) + ": " + why);
}

Result<std::optional<Frame>> FrameReader::next(std::string_view& bytes) {
  if (broken_) return broken("follows one that is broken");
  const auto fill = [&bytes](std::string& out, size_t size) {
    const size_t some = std::min(size - out.size(), bytes.size());
    out.append(bytes.substr(0, some));
    bytes.remove_prefix(some);
    return out.size() == size;
  };
  if (header_.size() < kHeaderBytes) {
    if (!fill(header_, kHeaderBytes)) return std::optional<Frame>();
    TRY(begin_frame());
  }
  if (frame_.payload.size() < payload_bytes_) {
    const size_t before = frame_.payload.size();
    const bool whole = fill(frame_.payload, payload_bytes_);
    mac_.add(std::string_view(frame_.payload).substr(before));
    if (!whole) return std::optional<Frame>();
  }
  if (!fill(tag_, Mac::kBytes)) return std::optional<Frame>();
  TRY(end_frame());
  return std::optional<Frame>(std::exchange(frame_, {}));
}

/// Judges the header before anything is kept for what it announces.
Status FrameReader::begin_frame() {
  ByteCursor cursor(header_);
  const size_t size = size_t{cursor.u32()} + kLengthBytes;
  const uint8_t lane = cursor.u8();
  const uint8_t kind = cursor.u8();
  const uint16_t version = cursor.u16();
  const uint64_t number = cursor.u64();
  if (size < kFrameOverhead || size > frame_bytes_most(channel_)) {
    return broken("is " + std::to_string(size) + " bytes long, expected " +
                  std::to_string(kFrameOverhead) + " to " +
                  std::to_string(frame_bytes_most(channel_)));
  }
  if (lane > static_cast<uint8_t>(Lane::bulk) || channel_of(Lane{lane}) != channel_)
    return broken("is of lane " + std::to_string(lane) + ", which is not on this connection");
  if (kind != 0) return broken("is of kind " + std::to_string(kind) + ", which is unknown");
  if (version != version_) {
    return broken("is of version " + std::to_string(version) + ", agreed was " +
                  std::to_string(version_));
  }
  if (number != next_) return broken("bears the number " + std::to_string(number));
  frame_.lane = Lane{lane};
  payload_bytes_ = size - kFrameOverhead;
  frame_.payload.reserve(std::min(payload_bytes_, kReservedMost));
  mac_.begin();
  mac_.add(header_);
  return {};
}

Status FrameReader::end_frame() {
  if (!same_secret(tag_, view(mac_.finish()))) return broken("its checksum is wrong");
  ++next_;
  header_.clear();
  tag_.clear();
  payload_bytes_ = 0;
  return {};
}

}  // namespace clickmill::peer
