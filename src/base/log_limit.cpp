#include "base/log_limit.h"

#include <utility>

namespace clickmill {
namespace {

/// FNV-1a over everything but digits.
uint64_t kind_of(std::string_view area, std::string_view message) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const std::string_view text : {area, message}) {
    for (const char c : text) {
      if (c >= '0' && c <= '9') continue;
      hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    }
  }
  return hash;
}

}  // namespace

std::optional<uint64_t> LogLimit::admit(std::string_view area, std::string_view message,
                                        int64_t now_ms) {
  const uint64_t id = kind_of(area, message);
  if (kinds_.size() >= kKindsMost && !kinds_.contains(id)) {
    std::erase_if(kinds_, [&](const auto& kind) {
      return now_ms - kind.second.period_begin_ms >= kPeriodMs;
    });
    if (kinds_.size() >= kKindsMost) return 0;
  }
  Kind& kind = kinds_[id];
  if (kind.lines == 0 || now_ms - kind.period_begin_ms >= kPeriodMs) {
    kind.period_begin_ms = now_ms;
    kind.lines = 0;
  }
  if (kind.lines == kLines) {
    ++kind.left_out;
    return std::nullopt;
  }
  ++kind.lines;
  return std::exchange(kind.left_out, 0);
}

}  // namespace clickmill
