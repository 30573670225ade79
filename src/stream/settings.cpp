// Payloads of log entries, little-endian:
//   settings: u8 version 2 | varint dedup_hours | varint window_grace_ms |
//             varint max_clock_ahead_ms | varint stale_after_hours | varint double_click_ms |
//             varint nodes | { bytes node_id }
//             Version 1 has no double_click_ms; where that is 0 it is written still, so that
//             older replicas read it.
//   tick:     u8 version 1 | varint nodes | { bytes node_id | svarint low_water }
// A higher version is refused: a replica that can't read an entry must stop,
// not guess.
#include "stream/settings.h"

#include "base/bytes.h"

namespace clickmill::stream {
namespace {

constexpr uint8_t kSettingsVersion = 2;
constexpr uint8_t kSettingsWithoutDoubleClicks = 1;
constexpr uint8_t kTickVersion = 1;
constexpr uint64_t kNodesMost = 1024;

}  // namespace

void encode_settings(const Settings& settings, std::string& out) {
  ByteWriter writer(out);
  const bool plain = settings.double_click_ms == 0;
  writer.u8(plain ? kSettingsWithoutDoubleClicks : kSettingsVersion);
  writer.varint(static_cast<uint64_t>(settings.dedup_hours));
  writer.varint(static_cast<uint64_t>(settings.window_grace_ms));
  writer.varint(static_cast<uint64_t>(settings.max_clock_ahead_ms));
  writer.varint(static_cast<uint64_t>(settings.stale_after_hours));
  if (!plain) writer.varint(static_cast<uint64_t>(settings.double_click_ms));
  writer.varint(settings.nodes.size());
  for (const std::string& node : settings.nodes) writer.bytes(node);
}

Result<Settings> decode_settings(std::string_view bytes) {
  ByteCursor cursor(bytes);
  const uint8_t version = cursor.u8();
  Settings settings;
  settings.dedup_hours = static_cast<int64_t>(cursor.varint());
  settings.window_grace_ms = static_cast<int64_t>(cursor.varint());
  settings.max_clock_ahead_ms = static_cast<int64_t>(cursor.varint());
  settings.stale_after_hours = static_cast<int64_t>(cursor.varint());
  if (version == kSettingsVersion) settings.double_click_ms = static_cast<int64_t>(cursor.varint());
  const uint64_t nodes = cursor.varint();
  if (nodes > kNodesMost) return Error(Errc::corrupt, "settings name too many nodes");
  for (uint64_t i = 0; i < nodes; ++i) settings.nodes.emplace_back(cursor.bytes());
  if (!cursor.done() || version < kSettingsWithoutDoubleClicks || version > kSettingsVersion) {
    return Error(Errc::corrupt, "settings entry is malformed or of a newer version");
  }
  return settings;
}

void encode_tick(const std::vector<LowWater>& low_waters, std::string& out) {
  ByteWriter writer(out);
  writer.u8(kTickVersion);
  writer.varint(low_waters.size());
  for (const LowWater& node : low_waters) {
    writer.bytes(node.node);
    writer.svarint(node.low_water.value());
  }
}

Result<std::vector<LowWater>> decode_tick(std::string_view bytes) {
  ByteCursor cursor(bytes);
  const uint8_t version = cursor.u8();
  const uint64_t nodes = cursor.varint();
  if (nodes > kNodesMost) return Error(Errc::corrupt, "tick names too many nodes");
  std::vector<LowWater> low_waters;
  for (uint64_t i = 0; i < nodes; ++i) {
    const auto node = cursor.bytes();
    low_waters.push_back({std::string(node), ArrivalMs(cursor.svarint())});
  }
  if (!cursor.done() || version != kTickVersion) {
    return Error(Errc::corrupt, "tick entry is malformed or of a newer version");
  }
  return low_waters;
}

}  // namespace clickmill::stream
