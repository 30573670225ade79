#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/strong.h"

namespace clickmill::stream {

/// What verdicts depend on. Comes into force by a settings entry in the log, so
/// that replays and replicas agree whatever their config files say by then.
struct Settings {
  int64_t dedup_hours = 24;
  int64_t window_grace_ms = 30'000;
  int64_t max_clock_ahead_ms = 30'000;
  int64_t stale_after_hours = 72;
  int64_t double_click_ms = 0;     ///< 0: off
  std::vector<std::string> nodes;  ///< sorted node_ids
  friend bool operator==(const Settings&, const Settings&) = default;
};
void encode_settings(const Settings& settings, std::string& out);
Result<Settings> decode_settings(std::string_view bytes);

}  // namespace clickmill::stream
