// Beat and Claims, version 1. Little-endian; v: LEB128. What carries them has a checksum.
//
// Beat                                       Claims
//   1  version, 1                              1  version, 1
//   8  life, not 0                             8  life, not 0
//   v  number, not 0                           v  worker, below 256
//   8  echo_life                               v  number, not 0
//   v  echo                                    v  how many are led, at most 4,096
//   v  echo_delay_us                              v  group minus the one before (the first: group)
//   8  storage, not 0                             v  term, not 0
//   8  wall_ms, from 1970 to 9999
//   1  flags: 1 fit, 2 low-waters follow
//   v  number of workers, 1 to 256
//      v  age_ms  v  claim_number
//   v  number of claims_seen, at most 256
//      v  claim number
//   low-waters, if the flag says so
//      8  of all
//      v  number of exceptions, at most 1,024
//         v  partition minus the one before (the first: partition)
//         8  value
//
// Differences but the first are not 0, so that each group and partition stands once. Another
// version is refused by name: what a release adds is told only to those who understand it.

#include "cluster/beat.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/assert.h"
#include "base/bytes.h"

namespace clickmill::cluster {
namespace {

constexpr uint8_t kVersion = 1;
constexpr uint8_t kFit = 1;
constexpr uint8_t kHasLowWaters = 2;
constexpr size_t kWorkersMost = 256;
constexpr size_t kPartitionsMost = 1024;
constexpr size_t kLedMost = 4096;
constexpr int64_t kWallMost = 253'402'300'799'999;  // the end of the year 9999

/// A ByteCursor that knows the rules of values; a broken one makes it fail for good.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : in_(bytes) {}

  ByteCursor& in() { return in_; }
  void require(bool rule) {
    if (!rule) in_.fail();
  }
  uint64_t up_to(uint64_t most) {
    const uint64_t value = in_.varint();
    require(value <= most);
    return in_.ok() ? value : 0;
  }
  uint64_t not_zero(uint64_t value) {
    require(value != 0);
    return value;
  }
  int64_t time() {
    const int64_t value = in_.i64();
    require(value >= 0 && value <= kWallMost);
    return in_.ok() ? value : 0;
  }
  /// The next number of a rising sequence.
  uint32_t risen(uint32_t before, bool first) {
    const uint64_t step = up_to(std::numeric_limits<uint32_t>::max());
    require(first || step != 0);
    require(before + step <= std::numeric_limits<uint32_t>::max());
    return in_.ok() ? static_cast<uint32_t>(before + step) : 0;
  }

 private:
  ByteCursor in_;
};

Result<Reader> begin(std::string_view bytes, std::string_view what) {
  Reader reader(bytes);
  const uint8_t version = reader.in().u8();
  if (reader.in().ok() && version != kVersion) {
    return Error(Errc::invalid, fmt::format("{} of version {}, not {}", what, version, kVersion));
  }
  return reader;
}

Error malformed(std::string_view what) {
  return Error(Errc::invalid, fmt::format("{} is malformed", what));
}

void write_low_waters(ByteWriter& out, const LowWaters& low_waters) {
  CM_ASSERT(low_waters.exceptions.size() <= kPartitionsMost);
  out.i64(low_waters.all.value());
  out.varint(low_waters.exceptions.size());
  uint32_t before = 0;
  for (const auto& exception : low_waters.exceptions) {
    out.varint(exception.partition.value() - before);
    out.i64(exception.value.value());
    before = exception.partition.value();
  }
}

LowWaters read_low_waters(Reader& from) {
  LowWaters low_waters;
  low_waters.all = ArrivalMs(from.time());
  uint32_t before = 0;
  for (uint64_t left = from.up_to(kPartitionsMost); left > 0 && from.in().ok(); --left) {
    before = from.risen(before, low_waters.exceptions.empty());
    low_waters.exceptions.push_back({PartitionId(before), ArrivalMs(from.time())});
  }
  return low_waters;
}

}  // namespace

ArrivalMs LowWaters::of(PartitionId partition) const {
  const auto at = std::lower_bound(
      exceptions.begin(), exceptions.end(), partition,
      [](const Exception& exception, PartitionId wanted) { return exception.partition < wanted; });
  return at != exceptions.end() && at->partition == partition ? at->value : all;
}

std::string encode(const Beat& beat) {
  CM_ASSERT(beat.workers.size() <= kWorkersMost && beat.claims_seen.size() <= kWorkersMost);
  std::string bytes;
  ByteWriter out(bytes);
  out.u8(kVersion);
  out.u64(beat.life);
  out.varint(beat.number);
  out.u64(beat.echo_life);
  out.varint(beat.echo);
  out.varint(beat.echo_delay_us);
  out.u64(beat.storage.value());
  out.i64(beat.wall_ms);
  out.u8(static_cast<uint8_t>((beat.fit ? kFit : 0) | (beat.low_waters ? kHasLowWaters : 0)));
  out.varint(beat.workers.size());
  for (const Beat::Worker& worker : beat.workers) {
    out.varint(worker.age_ms);
    out.varint(worker.claim_number);
  }
  out.varint(beat.claims_seen.size());
  for (const uint64_t number : beat.claims_seen) out.varint(number);
  if (beat.low_waters) write_low_waters(out, *beat.low_waters);
  return bytes;
}

Result<Beat> decode_beat(std::string_view bytes) {
  Reader from = TRY(begin(bytes, "beat"));
  ByteCursor& in = from.in();
  Beat beat;
  beat.life = from.not_zero(in.u64());
  beat.number = from.not_zero(in.varint());
  beat.echo_life = in.u64();
  beat.echo = in.varint();
  beat.echo_delay_us = in.varint();
  beat.storage = raft::StorageId(from.not_zero(in.u64()));
  beat.wall_ms = from.time();
  const uint8_t flags = in.u8();
  from.require((flags & ~(kFit | kHasLowWaters)) == 0);
  beat.fit = (flags & kFit) != 0;
  for (uint64_t left = from.not_zero(from.up_to(kWorkersMost)); left > 0 && in.ok(); --left) {
    const uint64_t age_ms = from.up_to(std::numeric_limits<uint32_t>::max());
    beat.workers.push_back({static_cast<uint32_t>(age_ms), in.varint()});
  }
  for (uint64_t left = from.up_to(kWorkersMost); left > 0 && in.ok(); --left)
    beat.claims_seen.push_back(in.varint());
  if ((flags & kHasLowWaters) != 0) beat.low_waters = read_low_waters(from);
  if (!in.done()) return malformed("beat");
  return beat;
}

std::string encode(const Claims& claims) {
  CM_ASSERT(claims.worker < kWorkersMost && claims.led.size() <= kLedMost);
  std::string bytes;
  ByteWriter out(bytes);
  out.u8(kVersion);
  out.u64(claims.life);
  out.varint(claims.worker);
  out.varint(claims.number);
  out.varint(claims.led.size());
  uint32_t before = 0;
  for (const Claims::Led& led : claims.led) {
    out.varint(led.group - before);
    out.varint(led.term.value());
    before = led.group;
  }
  return bytes;
}

Result<Claims> decode_claims(std::string_view bytes) {
  Reader from = TRY(begin(bytes, "claims"));
  ByteCursor& in = from.in();
  Claims claims;
  claims.life = from.not_zero(in.u64());
  claims.worker = static_cast<uint32_t>(from.up_to(kWorkersMost - 1));
  claims.number = from.not_zero(in.varint());
  uint32_t before = 0;
  for (uint64_t left = from.up_to(kLedMost); left > 0 && in.ok(); --left) {
    before = from.risen(before, claims.led.empty());
    claims.led.push_back({before, Term(from.not_zero(in.varint()))});
  }
  if (!in.done()) return malformed("claims");
  return claims;
}

}  // namespace clickmill::cluster
