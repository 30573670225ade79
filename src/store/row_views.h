#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/row.h"
#include "store/scan.h"

namespace clickmill::store {

/// Rows on their way from parts, or from memory, into a part: views with all columns, and what
/// they show kept beside them. A sketch stays the bytes it is until two rows become one, and a
/// row costs no allocation: an import merges millions with one click each.
/// Thread: one. Views stay valid while it lives, moved or not.
class RowViews {
 public:
  RowViews() = default;
  explicit RowViews(std::span<const Row> rows);
  /// Copies what the view shows.
  void add(const RowView& view);
  /// One row of that bucket for all of these, which are of one key.
  Status add_sum(std::span<const RowView> rows, int64_t bucket_ms);
  /// What was added are runs in the order of keys, each up to one of `ends`: orders all of it
  /// and makes one row of those with one key and bucket.
  Status merge_runs(std::span<const size_t> ends);

  size_t size() const { return rows_.size(); }
  bool empty() const { return rows_.empty(); }
  auto begin() const { return rows_.begin(); }
  auto end() const { return rows_.end(); }
  const RowView& operator[](size_t at) const { return rows_[at]; }

 private:
  struct Place;
  std::vector<Place> places() const;
  char* room(size_t bytes);
  std::string_view keep(std::string_view bytes);

  std::vector<RowView> rows_;
  std::vector<std::unique_ptr<char[]>> blocks_;
  size_t left_ = 0;  // of the last block
  char* next_ = nullptr;
};

/// The order of key_less().
bool view_less(const RowView& a, const RowView& b);
bool same_ad(const RowView& a, const RowView& b);
/// Sorted, distinct rows summed to the longer buckets of that table.
Result<RowViews> summed_to(std::span<const RowView> rows, Table table);

}  // namespace clickmill::store
