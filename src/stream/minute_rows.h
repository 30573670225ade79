#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "click/click.h"
#include "sketch/hll.h"
#include "store/row.h"
#include "store/scan.h"
#include "stream/ad_texts.h"
#include "stream/country_tally.h"

namespace clickmill::stream {

/// The open rows of one minute, one per (ad, advertiser, automated), found by the ad's hash:
/// in an open-addressing index once they are more than a few. Rows keep their number until the
/// whole minute goes, references only until the next row is added. Thread: worker.
class MinuteRows {
 public:
  struct Row {
    const char* texts = nullptr;  // ad_id, then advertiser_id
    uint16_t ad_bytes = 0;
    uint16_t advertiser_bytes = 0;
    uint16_t tag = 0;    // of the ad's hash
    bool dirty = false;  // changed since the last checkpoint
    bool automated = false;
    std::array<uint64_t, click::kDevices> devices{};
    CountryTally countries;
    sketch::Hll visitors;

    std::string_view ad_id() const { return {texts, ad_bytes}; }
    std::string_view advertiser_id() const { return {texts + ad_bytes, advertiser_bytes}; }
    /// As a row of this minute; countries and visitors only if they are wanted.
    store::Row copy(int64_t minute_ms, bool with_countries, bool with_visitors) const;
    /// The same, with neither of them. Borrows the names.
    store::RowView view(int64_t minute_ms) const;
    /// On the heap.
    size_t memory_bytes() const { return countries.memory_bytes() + visitors.memory_bytes(); }
  };
  /// Where its rows' names stand.
  explicit MinuteRows(std::shared_ptr<AdTexts> texts) : texts_(std::move(texts)) {}

  /// The hash by which all below find an ad.
  static uint64_t hash_of(std::string_view ad_id);
  /// Number of the ad's row, which is made if it isn't there.
  size_t find_or_add(uint64_t ad_hash, std::string_view ad_id, std::string_view advertiser_id,
                     bool automated);
  /// Fetches what find_or_add() and a click that is added need, as far as it is known by now: the
  /// row first, and some clicks later what it points to.
  void prefetch_row(uint64_t ad_hash) const;
  void prefetch_contents(uint64_t ad_hash, uint64_t visitor_hash) const;
  /// Shows an ad's rows: of people and machines, of several advertisers if it moved.
  template <typename Show>
  void each(uint64_t ad_hash, std::string_view ad_id, const Show& show) const {
    if (!slots_) {
      for (const Row& row : rows_) {
        if (row.ad_id() == ad_id) show(row);
      }
      return;
    }
    for (size_t at = start_of(ad_hash); slots_[at].row != 0; at = next(at)) {
      const Row& row = rows_[slots_[at].row - 1];
      if (slots_[at].tag == static_cast<uint32_t>(ad_hash) && row.ad_id() == ad_id) show(row);
    }
  }
  Row& operator[](size_t number) { return rows_[number]; }
  const Row& operator[](size_t number) const { return rows_[number]; }
  size_t size() const { return rows_.size(); }
  /// What it holds: its rows, their index, the names that it was the first to need.
  size_t memory_bytes() const {
    return rows_.capacity() * sizeof(Row) + size_t{slot_count_} * sizeof(Slot) + heap_bytes_;
  }
  /// A row's countries and visitors take so much more than before.
  void grew(size_t bytes) { heap_bytes_ += bytes; }

 private:
  struct Slot {
    uint32_t tag = 0;  // the hash's lower half
    uint32_t row = 0;  // number + 1; 0 is free
  };
  // Not the lowest bits: they are one for all ads of a partition (partition_of).
  size_t start_of(uint64_t ad_hash) const { return (ad_hash >> 24) & (slot_count_ - 1); }
  size_t next(size_t slot) const { return (slot + 1) & (slot_count_ - 1); }
  const Row* find(uint64_t ad_hash, std::string_view ad_id, std::string_view advertiser_id,
                  bool automated) const;
  void place(uint64_t ad_hash, size_t number);
  void grow();

  // Null while the rows are few; else a power of two of them, at most three quarters used.
  std::unique_ptr<Slot[]> slots_;
  uint32_t slot_count_ = 0;
  std::vector<Row> rows_;
  std::shared_ptr<AdTexts> texts_;
  size_t heap_bytes_ = 0;
};

}  // namespace clickmill::stream
