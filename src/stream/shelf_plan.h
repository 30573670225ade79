#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/strong.h"
#include "state/slot.h"
#include "store/merge.h"
#include "store/part.h"
#include "store/row.h"
#include "store/shelf_file.h"
#include "store/version.h"
#include "stream/parts.h"

namespace clickmill::stream {

/// How long the time is that one shared file holds once it is whole.
enum class Period : uint8_t { day, month, year };
int64_t period_begin(Period period, int64_t at_ms);
int64_t period_end(Period period, int64_t at_ms);

/// When parts go together.
///
/// What partitions write is loose at first: in a file of its own, or of a few checkpoints. Once
/// there are `loose_most` of a table, all of them become one shared file; `fan_in` of those become
/// one of the next level, and when the period is over, what is left of it becomes one file for
/// good. So a row is written once when it is flushed, once when it is shelved, once a level, and
/// once at the end.
struct ShelfRules {
  std::array<Period, store::kTables> periods{Period::month, Period::year, Period::year};
  size_t loose_most = 128;
  /// Loose parts that lie wholly in a period that is over become a file once they are so many.
  size_t late_most = 16;
  size_t fan_in = 8;
  /// What is merged comes to about so much at most; a larger file stays as it is.
  uint64_t bytes_most = 1ULL << 30;
  /// Rows of an earlier period that are so many get a file of that period; fewer stay in
  /// the file of the period in which they came.
  uint64_t rows_apart = 65'536;
  /// So long a period is over before it counts as such: most stragglers have come by then.
  int64_t settled_after_ms = kDayMs;

  /// Periods such that a file, which goes as a whole, outlives its first row by a quarter of
  /// the days that a table is kept, at most.
  static ShelfRules of_days(const std::array<uint32_t, store::kTables>& days);
};

/// What a partition has that something may be done to.
struct ShelfView {
  PartitionId id;
  state::Slot slot;
  LogMs log_time;
  Parts::Lists parts;
};

/// Parts of several partitions that are to stand together, all of one table.
struct ShelfPlan {
  struct Share {
    PartitionId id;
    state::Slot slot;
    std::shared_ptr<const store::PartList> parts;
  };
  /// Rows of that time go to that one of `files`; all pieces together are all time.
  struct Piece {
    store::TimeRange range;
    size_t file = 0;
  };
  std::vector<Share> shares;
  std::vector<Piece> pieces;
  std::vector<store::ShelfName> files;  ///< without numbers
};
/// What is to be done first; nothing: all is as it should be. A function of what it is given.
std::optional<ShelfPlan> plan_shelving(const std::vector<ShelfView>& views,
                                       const ShelfRules& rules);

}  // namespace clickmill::stream
