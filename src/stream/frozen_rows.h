#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "store/memory_rows.h"
#include "stream/minute_rows.h"

namespace clickmill::stream {

/// Closed minutes of a head on their way to a part: read, and written by nobody.
///
/// Made without a look at a row, since that is done on the worker. Who asks first has the rows
/// put in the order of their ads, and those of its ads summed to hours and days: work that is
/// kept for who asks next. Thread: any.
class FrozenRows final : public store::MemoryRows {
 public:
  using Minutes = std::map<int64_t, MinuteRows>;
  /// What a minute takes beside MinuteRows::memory_bytes(): its node, and what the allocator adds
  /// to that, to its rows and to the visitors of the first.
  static constexpr size_t kMinuteBytes = 96 + sizeof(MinuteRows);
  explicit FrozenRows(Minutes minutes);
  const Minutes& minutes() const { return minutes_; }
  size_t size() const { return size_; }
  /// As they came, about: without what questions have had summed up.
  size_t memory_bytes() const { return memory_bytes_; }

  void scan(store::Table table, const store::Scan& scan, const Visit& visit) const override;
  void sum(const store::Scan& scan, const store::VisitSum& visit) const override;

 private:
  struct RowAt {
    int64_t minute_ms;
    const MinuteRows::Row* row;
  };
  /// Hours or days of an ad; visitors only once somebody wanted them.
  struct LongRows {
    std::vector<store::Row> rows;
    std::vector<uint64_t> estimates;
    bool summed = false;
    bool with_visitors = false;
  };
  struct Ad {
    std::string_view advertiser_id;
    std::string_view ad_id;
    bool automated = false;
    size_t begin = 0;  ///< of rows_at_, in order of time
    size_t end = 0;
    std::array<LongRows, 2> longer;
  };
  using Devices = std::array<uint64_t, click::kDevices>;

  void order() const;
  template <typename Show>
  void each_ad(const store::Scan& scan, const Show& show) const;
  bool apart(const store::Scan& scan) const;
  size_t first_at(const Ad& ad, int64_t from_ms) const;
  void scan_minutes(const Ad& ad, const store::Scan& scan, const Visit& visit) const;
  void scan_longer(Ad& ad, store::Table table, const store::Scan& scan, const Visit& visit) const;
  void sum_up(Ad& ad, store::Table table, bool with_visitors) const;

  const Minutes minutes_;
  size_t size_ = 0;
  size_t memory_bytes_ = 0;
  mutable std::once_flag ordered_;
  // Written once, by order():
  mutable std::vector<RowAt> rows_at_;
  mutable std::vector<Devices> sums_;  ///< of all rows_at_ before, by place
  mutable std::vector<Ad> ads_;        ///< by (advertiser, ad, automated)
  mutable std::vector<uint32_t> by_ad_id_;
  mutable std::mutex mutex_;  ///< guards what ads have of longer tables
};

}  // namespace clickmill::stream
