#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace clickmill {

/// A number that can't be mixed with another kind of number.
template <typename Tag, typename Rep>
class Strong {
 public:
  using rep = Rep;
  constexpr Strong() = default;
  constexpr explicit Strong(Rep value) : value_(value) {}
  constexpr Rep value() const { return value_; }
  constexpr auto operator<=>(const Strong&) const = default;
  /// The number moved on by a plain count of the same unit.
  constexpr Strong operator+(Rep step) const { return Strong(static_cast<Rep>(value_ + step)); }
  constexpr Strong operator-(Rep step) const { return Strong(static_cast<Rep>(value_ - step)); }
  /// The distance, in the same unit.
  constexpr Rep operator-(Strong other) const { return static_cast<Rep>(value_ - other.value_); }
  constexpr Strong& operator++() {
    ++value_;
    return *this;
  }

 private:
  Rep value_{};
};

/// Number of a record in a partition's log. The first is 1; 0 means none.
using Offset = Strong<struct OffsetTag, uint64_t>;
/// Raft's term; 0 before any.
using Term = Strong<struct TermTag, uint64_t>;
using PartitionId = Strong<struct PartitionTag, uint32_t>;
/// When the click says that it happened: ms since 1970, UTC.
using EventMs = Strong<struct EventTag, int64_t>;
/// When our collector took it: ms since 1970, UTC, never decreasing on a node.
using ArrivalMs = Strong<struct ArrivalTag, int64_t>;
/// Log time, set by the partition's leader: ms since 1970, never decreasing.
using LogMs = Strong<struct LogTag, int64_t>;
/// An hour of log time, under which ids are filed: whole hours since 1970.
using LogHour = Strong<struct LogHourTag, int64_t>;
/// Byte position in the node's journal, counted since its first file.
using JournalPos = Strong<struct JournalPosTag, uint64_t>;

inline constexpr int64_t kMinuteMs = 60'000;
inline constexpr int64_t kHourMs = 3'600'000;
inline constexpr int64_t kDayMs = 86'400'000;

/// Largest multiple of `unit` that is not above `value`, negative values included.
constexpr int64_t floor_to(int64_t value, int64_t unit) {
  const int64_t rest = value % unit;
  return value - (rest < 0 ? rest + unit : rest);
}

constexpr LogHour hour_of(LogMs at) { return LogHour(floor_to(at.value(), kHourMs) / kHourMs); }
/// The hour in which a click would be logged that goes to the log as it arrives: what
/// was logged before that hour can hold no copy that came with it (DESIGN §5).
constexpr LogHour hour_of(ArrivalMs at) { return hour_of(LogMs(at.value())); }

}  // namespace clickmill

template <typename Tag, typename Rep>
struct std::hash<clickmill::Strong<Tag, Rep>> {
  size_t operator()(clickmill::Strong<Tag, Rep> value) const {
    return std::hash<Rep>{}(value.value());
  }
};
