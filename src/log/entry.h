#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/strong.h"

namespace clickmill::log {

/// One entry of a partition's log: Raft's unit. It takes `count` offsets,
/// first … first+count-1 (a tick or a no-op takes one, a batch one per record).
/// The log knows no payload; `kind` says who does.
struct Entry {
  Offset first;
  uint32_t count = 1;
  uint8_t kind = 0;
  Term term;
  LogMs append_ms;  ///< set by the leader, never decreases
  std::string payload;

  Offset last() const { return first + (count - 1); }
};

/// Turns committed entries into the bytes of a block and back, exactly:
/// decode(encode(entries)) == entries, and the bytes depend on the entries only.
/// Implemented above the log (click/), where the payloads are known.
/// Thread: any (immutable).
class Codec {
 public:
  virtual ~Codec() = default;
  /// Stands in the block header, so that a reader knows which codec wrote it.
  virtual uint8_t id() const = 0;
  virtual std::string encode(std::span<const Entry> entries) const = 0;
  /// Errc::corrupt for bytes that encode() can't have written.
  virtual Result<std::vector<Entry>> decode(std::string_view bytes) const = 0;
};

/// Row-wise codec for opaque payloads (id 1): headers as varints, payloads as they are.
class RowCodec final : public Codec {
 public:
  uint8_t id() const override { return 1; }
  std::string encode(std::span<const Entry> entries) const override;
  Result<std::vector<Entry>> decode(std::string_view bytes) const override;
};

/// Where blocks are cut: a rule of the log alone, so that every replica seals
/// the same blocks. A block ends before an entry that starts in another
/// kBlockOffsets multiple, or in another kBlockMs multiple of log time.
inline constexpr uint64_t kBlockOffsets = 4096;
inline constexpr int64_t kBlockMs = 600'000;
constexpr bool same_block(const Entry& a, const Entry& b) {
  return a.first.value() / kBlockOffsets == b.first.value() / kBlockOffsets &&
         a.append_ms.value() / kBlockMs == b.append_ms.value() / kBlockMs;
}

}  // namespace clickmill::log
