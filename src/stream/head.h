#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/strong.h"
#include "click/click.h"
#include "state/slot.h"
#include "state/store.h"
#include "store/row.h"
#include "store/row_views.h"
#include "store/scan.h"
#include "stream/frozen_rows.h"
#include "stream/minute_rows.h"

namespace clickmill::stream {

/// The minute rows of one partition that are in no part yet: open windows, and
/// closed ones until they are flushed. A straggler for a minute that already
/// stands in a part simply starts a new row here: rows of one key are summed.
///
/// Durable in the state store's rows space, key = slot | minute | ad_id NUL
/// advertiser_id (NUL, of machines), as of the last checkpoint. Rows on their way to a part are
/// frozen: still read here, written by nobody, until the checkpoint that names the part is
/// committed. Thread: worker; frozen rows any.
class Head {
 public:
  using Minutes = FrozenRows::Minutes;
  /// In the order in which they were frozen. Rows of one key may stand in several.
  using Frozen = std::vector<std::shared_ptr<const FrozenRows>>;
  explicit Head(state::Slot slot) : slot_(slot), texts_(std::make_shared<AdTexts>()) {}
  /// Reads the rows of the last checkpoint.
  Status load(state::Store& store);

  /// What counting needs of a click.
  struct Click {
    EventMs timestamp_ms;
    std::string_view ad_id;
    std::string_view advertiser_id;
    uint64_t ad_hash = 0;  ///< MinuteRows::hash_of(ad_id)
    click::Device device = click::Device::other;
    click::Country country = click::kUnknownCountry;
    bool automated = false;
    click::Visitor visitor;
  };
  void add(const Click& click);
  /// Say that the click will be added soon, and, once memory may have answered that, sooner still.
  void prefetch_row(const Click& click) const {
    if (last_rows_ != nullptr) last_rows_->prefetch_row(click.ad_hash);
  }
  void prefetch_contents(const Click& click) const {
    if (last_rows_ != nullptr) last_rows_->prefetch_contents(click.ad_hash, click.visitor.hash);
  }
  /// Copies of rows that match and are not frozen; counts.countries and visitors only when the
  /// scan wants them. Cost: looks at every row of the scan's minutes, of one ad at every minute.
  std::vector<store::Row> matching(const store::Scan& scan) const;
  size_t row_count() const { return rows_ + frozen_rows_; }
  /// Rows of minutes before `minute_ms`, here and below without the frozen ones.
  /// Cost: visits the minutes from there on.
  size_t rows_before(int64_t minute_ms) const;
  /// Bytes that they hold. Cost: the same.
  uint64_t bytes_before(int64_t minute_ms) const;
  /// Oldest minute held; INT64_MAX when empty.
  int64_t oldest_minute() const;
  /// Of all rows, the frozen ones too.
  uint64_t memory_bytes() const;
  /// Of what the rows of minutes from there on hold, in whatever order they came. Cost: visits
  /// them.
  uint64_t digest_from(int64_t minute_ms) const;

  /// Freezes the rows of minutes before `minute_ms`; the next checkpoint removes them
  /// in the state store, and must name a part that has all that are frozen when it begins.
  /// Cost: moves the minutes, and visits the rows that changed since the last checkpoint.
  void freeze_before(int64_t minute_ms);
  const Frozen& frozen() const { return frozen_; }
  /// Bytes that they hold, leaving out the first `skipped`.
  uint64_t frozen_bytes(size_t skipped) const;
  /// The first of them stand in a part now.
  void drop_frozen(size_t first);
  /// Adds what changed since the last one that was committed.
  void checkpoint(state::Batch& batch);
  void checkpoint_committed();
  /// The next checkpoint() has all of the last one's again.
  void checkpoint_failed();

 private:
  MinuteRows& rows_of(int64_t minute_ms);
  void mark(int64_t minute_ms, size_t number, MinuteRows::Row& row);
  std::vector<store::Row> folded(const store::Scan& scan) const;
  std::string key_of(const store::RowView& row) const;

  const state::Slot slot_;
  // Of minutes that begin from now on. The frozen ones take theirs along.
  std::shared_ptr<AdTexts> texts_;
  Minutes minutes_;
  uint64_t bytes_ = 0;  // of minutes_
  // The minute of the last click: nearly always that of the next one too.
  int64_t last_minute_ = 0;
  MinuteRows* last_rows_ = nullptr;
  using RowNumbers = std::vector<std::pair<int64_t, size_t>>;  // minute, row number
  RowNumbers dirty_;      // changed since the last checkpoint()
  RowNumbers in_flight_;  // in the batch of the last checkpoint(), until it is committed
  size_t rows_ = 0;
  Frozen frozen_;
  size_t frozen_rows_ = 0;
  int64_t removed_before_ = 0;   // the state store doesn't know yet
  int64_t removing_before_ = 0;  // it is told by the last checkpoint(), until that is committed
};

/// All rows as parts want them: sorted, those of one key summed. Thread: any.
Result<store::RowViews> sorted_rows(const Head::Frozen& frozen);

}  // namespace clickmill::stream
