#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "query/request.h"
#include "store/version.h"

namespace clickmill::query {

/// One bucket (or the total) of an answer.
struct Bucket {
  int64_t start_ms = 0;
  uint64_t clicks = 0;
  uint64_t unique_users = 0;
  bool complete = false;
  std::array<uint64_t, click::kDevices> devices{};
  std::map<click::Country, uint64_t> countries;
};
struct ClicksAnswer {
  std::string advertiser_id;  ///< from the rows when the catalog knows none
  bool any_rows = false;      ///< rows exist at all for the ad or advertiser, in range or not
  std::vector<Bucket> data;
  Bucket total;
  int64_t as_of_ms = 0;
};
/// What to read of the versions: the finest table that the request needs.
/// Unions sketches per bucket and over the range (invariant 6); reads hours
/// and days from their tables where whole UTC hours and days are covered,
/// finer ones at the edges and for zones with other offsets.
Result<ClicksAnswer> aggregate_clicks(const ClicksRequest& request,
                                      std::span<const store::Version> versions);
/// Body of the answer, JSON (or CSV, per the request) exactly as DESIGN §7 shows it.
std::string render_clicks(const ClicksRequest& request, const ClicksAnswer& answer);

struct TopAnswer {
  struct Item {
    std::string ad_id;
    std::string advertiser_id;
    uint64_t clicks = 0;
  };
  std::vector<Item> data;
  uint64_t total_clicks = 0;
  int64_t as_of_ms = 0;
};
Result<TopAnswer> aggregate_top(const TopRequest& request,
                                std::span<const store::Version> versions);
std::string render_top(const TopRequest& request, const TopAnswer& answer);

/// The head rows that a request needs (given to the worker that owns them).
store::Scan head_scan(const ClicksRequest& request);
store::Scan head_scan(const TopRequest& request);

}  // namespace clickmill::query
