#include <algorithm>
#include <unordered_map>

#include "click/parse.h"
#include "query/aggregate.h"
#include "query/rows.h"

namespace clickmill::query {
namespace {

struct AdTotal {
  uint64_t clicks = 0;
  uint64_t automated = 0;
  std::string advertiser_id;  ///< one that has rows
  bool moved = false;         ///< rows stand under more than one
};

struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};
using AdTotals = std::unordered_map<std::string, AdTotal, StringHash, std::equal_to<>>;

/// Adds to the totals; an ad's rows come one after the other, so it is looked up once.
class Adder {
 public:
  Adder(store::Automated wanted, AdTotals& totals) : wanted_(wanted), totals_(totals) {}
  void add(std::string_view advertiser_id, std::string_view ad_id, uint64_t clicks,
           bool automated) {
    if (clicks == 0) return;
    if (last_ == nullptr || last_->first != ad_id) find(advertiser_id, ad_id);
    AdTotal& total = last_->second;
    if (store::takes(wanted_, automated)) total.clicks += clicks;
    if (automated) total.automated += clicks;
    if (total.advertiser_id != advertiser_id) total.moved = true;
  }

 private:
  void find(std::string_view advertiser_id, std::string_view ad_id) {
    auto at = totals_.find(ad_id);
    if (at == totals_.end()) {
      at = totals_.emplace(ad_id, AdTotal{0, 0, std::string(advertiser_id), false}).first;
    }
    last_ = &*at;
  }
  const store::Automated wanted_;
  AdTotals& totals_;
  AdTotals::value_type* last_ = nullptr;
};

store::Scan scan_of(const TopRequest& request) {
  store::Scan scan;
  scan.advertiser_id = request.advertiser_id;
  scan.countries = request.country.has_value();
  return scan;
}

uint64_t clicks_from(const store::RowView& view, click::Country country) {
  uint64_t clicks = 0;
  for (size_t i = 0; i < view.countries_size; ++i) {
    if (click::listed_country(view.countries[i].first) == country)
      clicks += view.countries[i].second;
  }
  return clicks;
}

Status gather(const TopRequest& request, const Rows& rows, const Plan& plan, AdTotals& totals) {
  Adder adder(request.automated, totals);
  if (request.country) {
    return rows.scan(scan_of(request), plan, [&](const store::RowView& view, const sketch::Hll*) {
      adder.add(view.advertiser_id, view.ad_id, clicks_from(view, *request.country),
                view.automated);
    });
  }
  return rows.sum(scan_of(request), plan, [&](const store::AdSum& sum) {
    adder.add(sum.advertiser_id, sum.ad_id,
              request.device ? sum.devices[static_cast<size_t>(*request.device)] : sum.clicks,
              sum.automated);
  });
}

/// The advertiser of the newest row; of two in one bucket the later by name.
Status name_newest(const Rows& rows, const Plan& plan, TopAnswer::Item& item) {
  store::Scan wanted;
  wanted.ad_id = item.ad_id;
  std::pair<int64_t, std::string> newest{-1, {}};
  TRY(rows.scan(wanted, plan, [&](const store::RowView& view, const sketch::Hll*) {
    newest = std::max(newest, {view.bucket_ms, std::string(view.advertiser_id)});
  }));
  item.advertiser_id = std::move(newest.second);
  return {};
}

bool before(const AdTotals::value_type* a, const AdTotals::value_type* b) {
  if (a->second.clicks != b->second.clicks) return a->second.clicks > b->second.clicks;
  return a->first < b->first;
}

}  // namespace

Result<TopAnswer> aggregate_top(const TopRequest& request,
                                std::span<const store::Version> versions) {
  const Rows rows(versions);
  Plan plan;
  if (!append_stretch(request.from_ms, request.to_ms, request.deleted_before, plan))
    return Error(Errc::invalid, "from: rows that this needs have been deleted");
  AdTotals totals;
  TRY(gather(request, rows, plan, totals));

  TopAnswer answer;
  answer.as_of_ms = rows.as_of_ms();
  std::vector<const AdTotals::value_type*> order;
  order.reserve(totals.size());
  for (const auto& ad : totals) {
    answer.total_clicks += ad.second.clicks;
    answer.total_automated += ad.second.automated;
    if (ad.second.clicks > 0) order.push_back(&ad);
  }
  const size_t listed = std::min(request.n, order.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(listed), order.end(),
                    before);
  for (size_t i = 0; i < listed; ++i) {
    const auto& [ad_id, total] = *order[i];
    answer.data.push_back({ad_id, total.advertiser_id, total.clicks, total.automated});
    if (total.moved) TRY(name_newest(rows, plan, answer.data.back()));
  }
  return answer;
}

store::Scan head_scan(const TopRequest& request) {
  store::Scan scan = scan_of(request);
  scan.folded = true;
  scan.from_ms = request.from_ms;
  scan.to_ms = request.to_ms;
  return scan;
}

}  // namespace clickmill::query
