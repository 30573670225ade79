#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/strong.h"
#include "state/expiry.h"
#include "state/overlay.h"
#include "state/slot.h"

namespace clickmill::stream {

/// One change to the counts, or to what may be counted, that a person made.
struct Change {
  enum class Kind : uint8_t { review = 1, repair = 2 };
  Kind kind = Kind::review;
  Offset subject;      ///< the click that was decided, or the repair record itself
  std::string by;      ///< name of the key
  std::string what;    ///< of a review: accept or reject
  std::string reason;  ///< why: of a review, what the click was flagged for
  std::string ad_id;
  std::string advertiser_id;
  int64_t minute_ms = 0;
  int64_t clicks = 0;  ///< added to that minute's count; below zero: taken away
  friend bool operator==(const Change&, const Change&) = default;
};
std::string_view to_string(Change::Kind kind);

/// Where a change stands among its partition's: log time, then the record that
/// made it, then its place in it.
struct ChangePosition {
  LogMs at;
  Offset record;
  uint32_t index = 0;
  friend auto operator<=>(const ChangePosition&, const ChangePosition&) = default;
};

/// What was changed by hand in one partition, in order of time, 90 days of it
/// (see Horizon::age_ms). Durable in the state store's changes space, as of the
/// last checkpoint; reads see what came since.
/// Errors: those of the state store, and Errc::corrupt. Thread: worker.
class Changes {
 public:
  Changes(state::Slot slot, state::Store& store);

  /// Positions never decrease. `age_ms` here and below is the horizon's now.
  void add(ChangePosition position, const Change& change, int64_t age_ms);

  struct Listed {
    ChangePosition position;
    Change change;
  };
  /// From `from` on, before `to_ms`, at most `limit`.
  Result<std::vector<Listed>> list(const ChangePosition& from, LogMs to, size_t limit,
                                   int64_t age_ms) const;

  /// Adds what changed since the last call, and deletes what has expired.
  Status checkpoint(state::Batch& batch, int64_t age_ms);
  void checkpoint_committed() { overlay_.checkpoint_committed(); }
  /// The next checkpoint() has all of the last one's again.
  void checkpoint_failed() { expiry_.again(); }
  /// What is held in memory until the next checkpoint, about.
  uint64_t pending_bytes() const { return overlay_.pending_bytes(); }

 private:
  const state::Slot slot_;
  state::Overlay overlay_;
  state::Expiry expiry_;
};

}  // namespace clickmill::stream
