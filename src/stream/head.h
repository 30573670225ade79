#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/strong.h"
#include "click/click.h"
#include "state/store.h"
#include "store/row.h"
#include "store/scan.h"
#include "stream/minute_rows.h"

namespace clickmill::stream {

/// The minute rows of one partition that are in no part yet: open windows, and
/// closed ones until they are flushed. A straggler for a minute that already
/// stands in a part simply starts a new row here: rows of one key are summed.
///
/// Durable in the state store's rows space, key = partition | minute | ad_id NUL
/// advertiser_id, as of the last checkpoint. Thread: worker.
class Head {
 public:
  explicit Head(PartitionId partition) : partition_(partition) {}
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
    click::Visitor visitor;
  };
  void add(const Click& click);
  /// Says that the click will be added soon.
  void prefetch(const Click& click) const;
  /// Rows that match; counts.countries and visitors only when the scan wants them.
  std::vector<store::Row> matching(const store::Scan& scan) const;
  size_t row_count() const { return rows_; }
  /// Rows of minutes before `minute_ms`. Cost: visits the minutes from there on.
  size_t rows_before(int64_t minute_ms) const;
  /// Bytes that they hold, about. Cost: the same.
  uint64_t bytes_before(int64_t minute_ms) const;
  /// Oldest minute held; INT64_MAX when empty.
  int64_t oldest_minute() const;
  /// Cost: visits every row.
  size_t memory_bytes() const;

  /// Copies of all rows of minutes before `minute_ms`, sorted as parts want them.
  std::vector<store::Row> closed_rows(int64_t minute_ms) const;
  /// Removes them here; the next checkpoint removes them in the state store.
  void drop_before(int64_t minute_ms);
  /// Adds what changed since the last call.
  void checkpoint(state::Batch& batch);

 private:
  MinuteRows& rows_of(int64_t minute_ms);
  std::string key_of(const store::Row& row) const;

  const PartitionId partition_;
  std::map<int64_t, MinuteRows> minutes_;
  // The minute of the last click: nearly always that of the next one too.
  int64_t last_minute_ = 0;
  MinuteRows* last_rows_ = nullptr;
  std::vector<std::pair<int64_t, size_t>> dirty_;  // minute, row number
  size_t rows_ = 0;
  int64_t dropped_before_ = 0;  // not yet told to the state store
};

}  // namespace clickmill::stream
