#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/strong.h"

namespace clickmill::stream {

/// Why a click was flagged instead of counted; the wire's words.
enum class Reason : uint8_t { late = 1, clock_ahead = 2, unknown_ad = 3, stale = 4 };
inline constexpr size_t kReasons = 5;
std::string_view to_string(Reason reason);

/// A flagged click in the state store's review space, key = partition | offset.
struct ReviewEntry {
  Reason reason = Reason::late;
  LogMs append_ms;     ///< expires 90 days of log time after it
  std::string record;  ///< the click record as the log has it
};
void encode_review(const ReviewEntry& entry, std::string& out);
Result<ReviewEntry> decode_review(std::string_view bytes);

}  // namespace clickmill::stream
