#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "click/click.h"
#include "sketch/hll.h"
#include "store/row.h"
#include "stream/country_tally.h"

namespace clickmill::stream {

/// The open rows of one minute, one per (ad, advertiser, automated), found by the ad's hash
/// in an open-addressing index. Rows keep their number until the whole minute
/// goes, references only until the next row is added. Thread: worker.
class MinuteRows {
 public:
  struct Row {
    const char* texts = nullptr;  // ad_id, then advertiser_id
    uint16_t ad_bytes = 0;
    uint16_t advertiser_bytes = 0;
    bool dirty = false;  // changed since the last checkpoint
    bool automated = false;
    std::array<uint64_t, click::kDevices> devices{};
    CountryTally countries;
    sketch::Hll visitors;

    std::string_view ad_id() const { return {texts, ad_bytes}; }
    std::string_view advertiser_id() const { return {texts + ad_bytes, advertiser_bytes}; }
    /// As a row of this minute; countries and visitors only if they are wanted.
    store::Row copy(int64_t minute_ms, bool with_countries, bool with_visitors) const;
  };

  /// The hash by which all below find an ad.
  static uint64_t hash_of(std::string_view ad_id);
  /// Number of the ad's row, which is made if it isn't there.
  size_t find_or_add(uint64_t ad_hash, std::string_view ad_id, std::string_view advertiser_id,
                     bool automated);
  void prefetch(uint64_t ad_hash) const;
  /// Shows an ad's rows: of people and machines, of several advertisers if it moved.
  template <typename Show>
  void each(uint64_t ad_hash, std::string_view ad_id, const Show& show) const {
    if (slots_.empty()) return;
    for (size_t at = start_of(ad_hash); slots_[at].row != 0; at = (at + 1) & (slots_.size() - 1)) {
      const Row& row = rows_[slots_[at].row - 1];
      if (slots_[at].tag == static_cast<uint32_t>(ad_hash) && row.ad_id() == ad_id) show(row);
    }
  }
  Row& operator[](size_t number) { return rows_[number]; }
  const Row& operator[](size_t number) const { return rows_[number]; }
  size_t size() const { return rows_.size(); }
  /// Cost: visits every row.
  size_t memory_bytes() const;

 private:
  struct Slot {
    uint32_t tag = 0;  // the hash's lower half
    uint32_t row = 0;  // number + 1; 0 is free
  };
  // Not the lowest bits: they are one for all ads of a partition (partition_of).
  size_t start_of(uint64_t ad_hash) const { return (ad_hash >> 24) & (slots_.size() - 1); }
  void place(uint64_t ad_hash, size_t number);
  void grow();
  const char* keep(std::string_view ad_id, std::string_view advertiser_id);

  std::vector<Slot> slots_;  // a power of two of them, at most three quarters used
  std::vector<Row> rows_;
  std::vector<std::unique_ptr<char[]>> texts_;
  size_t text_used_ = 0;   // of the last block
  size_t text_bytes_ = 0;  // of the last block
  size_t texts_total_ = 0;
};

}  // namespace clickmill::stream
