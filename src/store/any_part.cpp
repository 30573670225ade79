#include <atomic>
#include <limits>
#include <map>

#include "store/part.h"

namespace clickmill::store {

Status Part::scan_between(const PartKey& first, const PartKey& last, const Scan& scan,
                          const Visit& visit) const {
  return this->scan(scan, [&](const RowView& view) {
    const PartKey key{view.advertiser_id, view.ad_id, view.automated};
    if (key >= first && key <= last) visit(view);
  });
}

Result<CountryOrder> Part::countries() const {
  Scan all;
  all.from_ms = std::numeric_limits<int64_t>::min();
  all.to_ms = std::numeric_limits<int64_t>::max();
  all.countries = true;
  std::map<click::Country, uint64_t> clicks;
  TRY(scan(all, [&clicks](const RowView& view) {
    for (size_t i = 0; i < view.countries_size; ++i)
      clicks[view.countries[i].first] += view.countries[i].second;
  }));
  return CountryOrder::of_clicks(clicks);
}

uint64_t Part::next_number() {
  static std::atomic<uint64_t> next{1};
  return next++;
}

}  // namespace clickmill::store
