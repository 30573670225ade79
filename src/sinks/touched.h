#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/strong.h"

namespace clickmill::sinks {

/// The minute rows of one partition that its log may have changed and that were not sent since,
/// each with the offsets that did.
/// Thread: one at a time.
class Touched {
 public:
  /// In the order of store::key_less.
  struct KeyView {
    std::string_view advertiser_id;
    std::string_view ad_id;
    int64_t minute_ms = 0;
    friend auto operator<=>(const KeyView&, const KeyView&) = default;
  };
  struct Key {
    std::string advertiser_id;
    std::string ad_id;
    int64_t minute_ms = 0;
    operator KeyView() const { return {advertiser_id, ad_id, minute_ms}; }
  };
  /// Which rows are to be sent: those of minutes that have passed, and of such as are so far
  /// ahead that nobody would see them pass.
  struct Due {
    int64_t passed_ms = 0;                                 ///< minutes that end by then
    int64_t far_ms = std::numeric_limits<int64_t>::max();  ///< minutes that begin there or later
    bool holds(int64_t minute_ms) const {
      return minute_ms + kMinuteMs <= passed_ms || minute_ms >= far_ms;
    }
  };

  void add(const KeyView& key, Offset at, LogMs append_ms);
  /// The row may be gone by this: whoever has it must hear of that.
  void add_repaired(const KeyView& key, Offset at, LogMs append_ms);

  /// At most `most` that are due, in order, others the next time.
  std::vector<Key> due(const Due& due, size_t most);
  bool repaired(const KeyView& key) const;
  /// Sent as it was when `applied` was, or there is no such row.
  void sent(const KeyView& key, Offset applied, LogMs log_time);

  size_t size() const { return rows_.size(); }
  void clear() { rows_.clear(); }
  /// The first offset that touched one; none when there is none.
  std::optional<Offset> oldest() const;
  /// Of those that are due alone.
  struct Behind {
    Offset first;
    int64_t since_ms = 0;  ///< log time since when one has been due
  };
  std::optional<Behind> oldest(const Due& due) const;

 private:
  struct Touch {
    Offset first;
    Offset last;
    LogMs since;
    bool repaired = false;
  };
  struct Less {
    using is_transparent = void;
    bool operator()(const KeyView& a, const KeyView& b) const { return a < b; }
  };
  Touch& touch(const KeyView& key, Offset at, LogMs append_ms);

  std::map<Key, Touch, Less> rows_;
  Key next_;  ///< where due() goes on
};

}  // namespace clickmill::sinks
