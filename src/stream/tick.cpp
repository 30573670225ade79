// Payload of a tick entry, little-endian:
//   u8 version | varint nodes | { bytes node_id | svarint low_water }
//   and in version 2, a full tick: | bytes settings (settings.cpp) | horizon (Horizon::encode)
// A higher version is refused: a replica that can't read an entry must stop, not guess.
#include "stream/tick.h"

#include "base/bytes.h"
#include "base/damage.h"

namespace clickmill::stream {
namespace {

constexpr uint8_t kPlainVersion = 1;
constexpr uint8_t kFullVersion = 2;
constexpr uint64_t kNodesMost = 1024;

}  // namespace

void Footing::tick(LogMs append_ms, const std::vector<LowWater>& low_waters) {
  horizon.advance(append_ms);
  for (const LowWater& node : low_waters) horizon.tell(node.node, node.low_water);
  horizon.settle(settings.dedup_hours, settings.stale_after_hours);
}

Status Footing::pass(click::EntryKind kind, LogMs append_ms, std::string_view payload) {
  if (kind == click::EntryKind::tick) {
    tick(append_ms, TRY(decode_tick(payload)).low_waters);
    return {};
  }
  horizon.advance(append_ms);
  if (kind == click::EntryKind::clicks) {
    ByteCursor cursor(payload);
    const auto header = TRY(click::decode_batch_header(cursor));
    horizon.tell(header.sender, header.low_water);
  } else if (kind == click::EntryKind::settings) {
    settings = TRY(decode_settings(payload));
    horizon.keep(settings.nodes, settings.stale_after_hours);
  }
  horizon.settle(settings.dedup_hours, settings.stale_after_hours);
  return {};
}

void encode_tick(const std::vector<LowWater>& low_waters, const Footing* footing,
                 std::string& out) {
  ByteWriter writer(out);
  writer.u8(footing ? kFullVersion : kPlainVersion);
  writer.varint(low_waters.size());
  for (const LowWater& node : low_waters) {
    writer.bytes(node.node);
    writer.svarint(node.low_water.value());
  }
  if (!footing) return;
  std::string settings;
  encode_settings(footing->settings, settings);
  writer.bytes(settings);
  footing->horizon.encode(out);
}

Result<Tick> decode_tick(std::string_view bytes) {
  ByteCursor cursor(bytes);
  const uint8_t version = cursor.u8();
  if (version > kFullVersion) return of_later_version("a tick entry", version, kFullVersion);
  const uint64_t nodes = cursor.varint();
  if (nodes > kNodesMost) return Error(Errc::corrupt, "tick names too many nodes");
  Tick tick;
  for (uint64_t i = 0; i < nodes; ++i) {
    const auto node = cursor.bytes();
    tick.low_waters.push_back({std::string(node), ArrivalMs(cursor.svarint())});
  }
  if (cursor.ok() && version == kFullVersion) {
    const auto settings = cursor.bytes();
    tick.footing = Footing{TRY(decode_settings(settings)), {}};
    tick.footing->horizon = TRY(Horizon::decode(cursor));
  }
  if (!cursor.done() || version < kPlainVersion)
    return Error(Errc::corrupt, "tick entry is malformed");
  return tick;
}

}  // namespace clickmill::stream
