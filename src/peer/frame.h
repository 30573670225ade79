#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "peer/mac.h"
#include "peer/transport.h"

namespace clickmill::peer {

/// The two connections of a link.
enum class Channel : uint8_t {
  fast,  ///< beat, group, call
  bulk,
};
constexpr Channel channel_of(Lane lane) {
  return lane == Lane::bulk ? Channel::bulk : Channel::fast;
}

/// Bytes of a frame that are not its payload.
constexpr size_t kFrameOverhead = 32;
/// Of a whole frame, its overhead included.
constexpr size_t frame_bytes_most(Channel channel) {
  return channel == Channel::fast ? size_t{2} << 20 : size_t{17} << 20;
}
constexpr size_t payload_bytes_most(Lane lane) {
  return frame_bytes_most(channel_of(lane)) - kFrameOverhead;
}

struct Frame {
  Lane lane = Lane::beat;
  std::string payload;
};

/// Puts frames into bytes, numbered and vouched for. Format: top of frame.cpp.
/// Thread: one at a time.
class FrameWriter {
 public:
  FrameWriter(std::string_view key, uint16_t version) : mac_(key), version_(version) {}
  /// Appends it to `pieces`, which are one stream of bytes: small payloads are copied to the
  /// last piece, large ones become pieces of their own. At most payload_bytes_most.
  void write(Frame&& frame, std::vector<std::string>& pieces);

 private:
  Mac mac_;
  uint16_t version_;
  uint64_t next_ = 0;
};

/// Takes them out again, from bytes that come in any portions. What differs from what the
/// peer's FrameWriter made is Errc::corrupt, and so is everything after it.
/// Memory: one frame, and no more than has really come of it.
/// Thread: one at a time.
class FrameReader {
 public:
  FrameReader(Channel channel, std::string_view key, uint16_t version)
      : channel_(channel), mac_(key), version_(version) {}
  /// Takes bytes from the front of `bytes`, at most one frame's. Nothing: more must come.
  Result<std::optional<Frame>> next(std::string_view& bytes);

 private:
  Status begin_frame();
  Status end_frame();
  Error broken(const std::string& why);

  const Channel channel_;
  Mac mac_;
  const uint16_t version_;
  uint64_t next_ = 0;
  std::string header_;
  Frame frame_;
  size_t payload_bytes_ = 0;
  std::string tag_;
  bool broken_ = false;
};

}  // namespace clickmill::peer
