// Payload of a settings entry, little-endian:
//   u8 version 2 | varint dedup_hours | varint window_grace_ms | varint max_clock_ahead_ms |
//   varint stale_after_hours | varint double_click_ms | varint nodes | { bytes node_id }
// Version 1 has no double_click_ms; where that is 0 it is written still, so that older
// replicas read it.
// A higher version is refused: a replica that can't read an entry must stop, not guess.
#include "stream/settings.h"

#include "base/bytes.h"
#include "base/damage.h"

namespace clickmill::stream {
namespace {

constexpr uint8_t kSettingsVersion = 2;
constexpr uint8_t kSettingsWithoutDoubleClicks = 1;
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
  if (version > kSettingsVersion)
    return of_later_version("a settings entry", version, kSettingsVersion);
  Settings settings;
  settings.dedup_hours = static_cast<int64_t>(cursor.varint());
  settings.window_grace_ms = static_cast<int64_t>(cursor.varint());
  settings.max_clock_ahead_ms = static_cast<int64_t>(cursor.varint());
  settings.stale_after_hours = static_cast<int64_t>(cursor.varint());
  if (version == kSettingsVersion) settings.double_click_ms = static_cast<int64_t>(cursor.varint());
  const uint64_t nodes = cursor.varint();
  if (nodes > kNodesMost) return Error(Errc::corrupt, "settings name too many nodes");
  for (uint64_t i = 0; i < nodes; ++i) settings.nodes.emplace_back(cursor.bytes());
  if (!cursor.done() || version < kSettingsWithoutDoubleClicks)
    return Error(Errc::corrupt, "settings entry is malformed");
  return settings;
}

}  // namespace clickmill::stream
