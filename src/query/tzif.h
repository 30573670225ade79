#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace clickmill::query {

/// The offsets of a zone from UTC over all time, in ms. Offsets and transitions
/// are cut to whole minutes: our rows are minutes, so a bucket can't begin
/// inside one (of the zones since 1970 only Monrovia's, until 1972, had seconds).
struct ZoneTable {
  struct Transition {
    int64_t at_ms;      ///< UTC
    int64_t offset_ms;  ///< from then on, east of UTC
  };
  int64_t first_offset_ms = 0;          ///< before the first transition
  std::vector<Transition> transitions;  ///< rising; each changes the offset
  /// Set where a rule goes on for ever: 400 Gregorian years of it, which are
  /// whole weeks, stand in `transitions` from here on, and then repeat.
  std::optional<int64_t> cycle_begin_ms;
};
inline constexpr int64_t kCycleMs = int64_t{146'097} * 86'400'000;

/// Reads a TZif file (RFC 8536), versions 1 to 4. Errc::invalid for anything
/// else, and for files with leap seconds ("right/…"), in which UTC isn't POSIX time.
Result<ZoneTable> parse_tzif(std::string_view bytes);

}  // namespace clickmill::query
