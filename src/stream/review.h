#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/strong.h"
#include "click/click.h"
#include "state/expiry.h"
#include "state/overlay.h"
#include "state/slot.h"
#include "stream/changes.h"

namespace clickmill::stream {

/// Why a click was flagged instead of counted; the wire's words.
enum class Reason : uint8_t {
  late = 1,
  clock_ahead = 2,
  unknown_ad = 3,
  stale = 4,
  double_click = 5
};
inline constexpr size_t kReasons = 6;
std::string_view to_string(Reason reason);
std::optional<Reason> reason_named(std::string_view word);

/// A flagged click.
struct ReviewEntry {
  Reason reason = Reason::late;
  LogMs append_ms;
  std::string record;  ///< the click record as the log has it
};

enum class Verdict : uint8_t { accept = 1, reject = 2 };
std::string_view to_string(Verdict verdict);

/// Payload of a decision entry: what one person decided about clicks of one partition.
/// It brings the catalog's word along, so that whoever applies it looks nothing up.
struct Decision {
  struct Ad {
    std::string advertiser_id;
    std::string ad_format;
    friend bool operator==(const Ad&, const Ad&) = default;
  };
  struct Item {
    Offset click;
    uint32_t ad = 0;  ///< 0: the advertiser that the click's own record names; n: ads[n-1]
    friend bool operator==(const Item&, const Item&) = default;
  };
  Verdict verdict = Verdict::reject;
  std::string by;  ///< name of the key
  std::vector<Ad> ads;
  std::vector<Item> items;  ///< by offset, each once
  friend bool operator==(const Decision&, const Decision&) = default;
};
/// A bulk decision is cut into records of so many clicks.
inline constexpr size_t kDecisionItemsMost = 1000;
void encode_decision(const Decision& decision, std::string& out);
Result<Decision> decode_decision(std::string_view bytes);

/// Which flagged clicks are asked for, and how much work that may be.
struct ReviewQuery {
  std::optional<Reason> reason;
  std::string ad_id;                                      ///< empty: any
  int64_t from_ms = std::numeric_limits<int64_t>::min();  ///< of the click's timestamp
  int64_t to_ms = std::numeric_limits<int64_t>::max();    ///< excluded
  Offset after;                                           ///< excluded
  Offset upto{std::numeric_limits<uint64_t>::max()};      ///< included
  size_t limit = 100;
  size_t scan_most = 4096;  ///< entries looked at
};
struct ReviewPage {
  std::vector<std::pair<Offset, ReviewEntry>> entries;
  Offset scanned;    ///< go on after it
  size_t scans = 0;  ///< entries looked at
  bool done = true;  ///< nothing stands behind it
};

/// The flagged clicks of one partition: open until they are decided or expire
/// after 90 days (see Horizon::age_ms, which is `age_ms` here). Durable in the
/// state store's review space, as of the last checkpoint; reads see what came
/// since. Format: top of review.cpp.
///
/// Deterministic: a function of the entries seen. Errors: those of the state
/// store, and Errc::corrupt for bytes it can't have written. Thread: worker.
class Review {
 public:
  Review(state::Slot slot, state::Store& store);

  /// A click was flagged. Offsets increase.
  void flag(Offset click, const ReviewEntry& entry, int64_t age_ms);

  /// Applies a decision entry: every click of it that is still open leaves the
  /// list, stands in `changes`, and is told with the advertiser that it is
  /// counted for if it was accepted. Clicks that were decided before, have
  /// expired or never were flagged are passed over; so is accepting one that
  /// has no advertiser.
  using OnDecided =
      std::function<void(Offset click, Verdict verdict, const click::ClickView& view)>;
  Status decide(Offset record, LogMs at, const Decision& decision, int64_t age_ms, Changes& changes,
                const OnDecided& on_decided);

  /// The click, if it is open.
  Result<std::optional<ReviewEntry>> find(Offset click, int64_t age_ms) const;
  /// The record that decided the click; empty when it is open, was never
  /// flagged or has expired.
  Result<std::optional<Offset>> decided_by(Offset click, int64_t age_ms) const;
  /// Open clicks in order of offset.
  Result<ReviewPage> list(const ReviewQuery& query, int64_t age_ms) const;

  /// Adds what changed since the last call, and deletes what has expired.
  Status checkpoint(state::Batch& batch, int64_t age_ms);
  void checkpoint_committed() { overlay_.checkpoint_committed(); }
  /// The next checkpoint() has all of the last one's again.
  void checkpoint_failed() {
    open_expiry_.again();
    decided_expiry_.again();
  }
  /// Clicks flagged or decided, held in memory until the next checkpoint.
  size_t pending() const { return overlay_.pending(); }
  /// What they take in memory, about.
  uint64_t pending_bytes() const { return overlay_.pending_bytes(); }

 private:
  const state::Slot slot_;
  state::Overlay overlay_;
  state::Expiry open_expiry_;
  state::Expiry decided_expiry_;
};

}  // namespace clickmill::stream
