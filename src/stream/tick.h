#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/strong.h"
#include "click/batch.h"
#include "stream/horizon.h"
#include "stream/settings.h"

namespace clickmill::stream {

/// A node's low-water as a tick tells it.
struct LowWater {
  std::string node;
  ArrivalMs low_water;
};

/// What verdicts depend on at a place of a log, beside the ids: with it a reader can
/// begin there though what stands before is gone.
struct Footing {
  Settings settings;
  Horizon horizon;

  /// An entry is passed. Errc::corrupt: it is not what its kind says.
  Status pass(click::EntryKind kind, LogMs append_ms, std::string_view payload);
  /// A tick that tells this is.
  void tick(LogMs append_ms, const std::vector<LowWater>& low_waters);
  friend bool operator==(const Footing&, const Footing&) = default;
};

/// Entry of the log that moves its time on. The first of each log hour is full: it
/// repeats what holds behind it, so that a reader can begin there.
struct Tick {
  std::vector<LowWater> low_waters;
  std::optional<Footing> footing;
};
/// `footing`: null when the tick isn't full.
void encode_tick(const std::vector<LowWater>& low_waters, const Footing* footing, std::string& out);
Result<Tick> decode_tick(std::string_view bytes);

}  // namespace clickmill::stream
