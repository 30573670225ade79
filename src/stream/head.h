#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/checksum.h"
#include "base/result.h"
#include "base/strong.h"
#include "click/click.h"
#include "store/part.h"
#include "store/row.h"
#include "stream/state_store.h"

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
  Status load(StateStore& store);

  void add(const click::ClickView& click, const click::Visitor& visitor);
  /// Rows that match; counts.countries and visitors only when the scan wants them.
  std::vector<store::Row> matching(const store::Scan& scan) const;
  size_t row_count() const { return rows_; }
  /// Rows of minutes before `minute_ms`.
  size_t rows_before(int64_t minute_ms) const;
  /// Oldest minute held; INT64_MAX when empty.
  int64_t oldest_minute() const;

  /// Copies of all rows of minutes before `minute_ms`, sorted as parts want them.
  std::vector<store::Row> closed_rows(int64_t minute_ms) const;
  /// Removes them here; the next checkpoint removes them in the state store.
  void drop_before(int64_t minute_ms);
  /// Adds what changed since the last call.
  void checkpoint(StateBatch& batch);

 private:
  struct Slot {
    std::string advertiser_id;
    store::Counts counts;
    sketch::Hll visitors;
    bool dirty = false;
  };
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return xxh64_of(text); }
  };
  using Ads = std::unordered_map<std::string, std::vector<Slot>, Hash, std::equal_to<>>;

  Slot& slot_of(int64_t minute_ms, std::string_view ad_id, std::string_view advertiser_id);
  static void collect(int64_t minute_ms, const std::string& ad_id, const std::vector<Slot>& slots,
                      const store::Scan& scan, std::vector<store::Row>& out);
  std::string key_of(int64_t minute_ms, std::string_view ad_id, std::string_view advertiser_id) const;

  const PartitionId partition_;
  std::map<int64_t, Ads> minutes_;
  std::vector<std::pair<int64_t, std::string>> dirty_ads_;  // with at least one dirty slot
  size_t rows_ = 0;
  int64_t dropped_before_ = 0;  // not yet told to the state store
};

}  // namespace clickmill::stream
