#include "query/aggregate.h"

#include <limits>
#include <tuple>

#include "click/parse.h"
#include "query/bucket_sums.h"
#include "query/rows.h"
#include "query/unique_users.h"
#include "sketch/estimate.h"

namespace clickmill::query {
namespace {

bool wants_countries(const ClicksRequest& request) {
  return request.country.has_value() || request.breakdown == Breakdown::country;
}
bool wants_visitors(const ClicksRequest& request) { return !request.device && !request.country; }

store::Scan ids_of(const ClicksRequest& request) {
  store::Scan scan;
  scan.ad_id = request.ad_id;
  scan.advertiser_id = request.advertiser_id;
  return scan;
}

void add_countries(const store::RowView& view, std::optional<click::Country> only, Bucket& bucket) {
  for (size_t i = 0; i < view.countries_size; ++i) {
    const auto [code, clicks] = view.countries[i];
    const click::Country country = click::listed_country(code);
    if (only && country != *only) continue;
    bucket.countries[country] += clicks;
    if (only) bucket.clicks += clicks;
  }
}

/// Of those that the filters ask for.
uint64_t clicks_of(const ClicksRequest& request, const store::RowView& view) {
  if (request.device) return view.devices[static_cast<size_t>(*request.device)];
  if (!request.country) return view.clicks;
  uint64_t clicks = 0;
  for (size_t i = 0; i < view.countries_size; ++i) {
    const auto [code, of_country] = view.countries[i];
    if (click::listed_country(code) == *request.country) clicks += of_country;
  }
  return clicks;
}

void add_row(const ClicksRequest& request, const store::RowView& view, Bucket& bucket) {
  if (view.automated) bucket.automated += clicks_of(request, view);
  if (!store::takes(request.automated, view.automated)) return;
  if (wants_countries(request)) add_countries(view, request.country, bucket);
  if (request.country) return;
  if (request.device) {
    const auto device = static_cast<size_t>(*request.device);
    bucket.devices[device] += view.devices[device];
    bucket.clicks += view.devices[device];
    return;
  }
  for (size_t i = 0; i < click::kDevices; ++i) bucket.devices[i] += view.devices[i];
  bucket.clicks += view.clicks;
}

void add_bucket(const Bucket& bucket, Bucket& total) {
  total.clicks += bucket.clicks;
  total.automated += bucket.automated;
  for (size_t i = 0; i < click::kDevices; ++i) total.devices[i] += bucket.devices[i];
  for (const auto& [country, clicks] : bucket.countries) total.countries[country] += clicks;
}

/// Keeps the advertiser of the newest row; of two in one bucket the later by name, so
/// that every node answers the same.
class NewestAdvertiser {
 public:
  void see(const store::RowView& view) {
    any_ = true;
    if (view.advertiser_id == id_) {
      at_ms_ = std::max(at_ms_, view.bucket_ms);
    } else if (std::tie(view.bucket_ms, view.advertiser_id) > std::make_tuple(at_ms_, id_view())) {
      at_ms_ = view.bucket_ms;
      id_ = view.advertiser_id;
    }
  }
  bool any() const { return any_; }
  const std::string& id() const { return id_; }

 private:
  std::string_view id_view() const { return id_; }
  bool any_ = false;
  int64_t at_ms_ = std::numeric_limits<int64_t>::min();
  std::string id_;
};

void make_buckets(const Rows& rows, const BucketIndex& index, ClicksAnswer& answer) {
  answer.data.resize(index.size());
  for (size_t i = 0; i < index.size(); ++i) {
    answer.data[i].start_ms = index.begin_ms(i);
    answer.data[i].complete = rows.passed(index.end_ms(i));
  }
  answer.total.start_ms = index.begin_ms(0);
  answer.total.complete = rows.passed(index.end_ms(index.size() - 1));
}

/// Who has the rows, looked for outside of the range where it has none.
Status name_advertiser(const ClicksRequest& request, const Rows& rows, NewestAdvertiser& newest,
                       ClicksAnswer& answer) {
  if (request.every_advertiser && request.advertiser_id.empty()) {
    answer.any_rows = true;
    answer.advertiser_id = "*";
    return {};
  }
  if (!newest.any()) {
    TRY(rows.scan_any(ids_of(request), [&](const store::RowView& view) { newest.see(view); }));
  }
  answer.any_rows = newest.any();
  answer.advertiser_id = request.advertiser_id.empty() ? newest.id() : request.advertiser_id;
  return {};
}

}  // namespace

Result<ClicksAnswer> aggregate_clicks(const ClicksRequest& request,
                                      std::span<const store::Version> versions) {
  const Rows rows(versions);
  const auto starts =
      bucket_starts(*request.zone, request.granularity, request.from_ms, request.to_ms);
  if (starts.empty()) return Error(Errc::invalid, "to: it must be later than from");
  BucketIndex index(starts, request.to_ms);
  const Plan plan = TRY(plan_of(index, request.deleted_before));
  ClicksAnswer answer;
  make_buckets(rows, index, answer);

  store::Scan wanted = ids_of(request);
  wanted.countries = wants_countries(request);
  wanted.estimates = wants_visitors(request);
  std::vector<uint32_t> rows_of(starts.size());
  NewestAdvertiser newest;
  const SummedRows summed(rows, TRY(sum_buckets(request, rows, wanted, index)));
  TRY(summed.scan(wanted, plan, [&](const store::RowView& view, const sketch::Hll*) {
    const size_t i = index.of(view.bucket_ms);
    newest.see(view);
    add_row(request, view, answer.data[i]);
    if (!store::takes(request.automated, view.automated)) return;
    rows_of[i] += sketch::may_be_older(view.unique_estimate) ? 2 : 1;
    answer.data[i].unique_users = view.unique_estimate;
  }));
  for (const Bucket& bucket : answer.data) add_bucket(bucket, answer.total);
  if (wants_visitors(request)) {
    store::Scan whose = ids_of(request);
    whose.automated = request.automated;
    TRY(fill_unique_users(summed, whose, plan, request.deleted_before, index, rows_of, answer));
  }
  TRY(name_advertiser(request, rows, newest, answer));
  answer.as_of_ms = rows.as_of_ms();
  if (!request.fill_zero && request.granularity != Granularity::total) {
    std::erase_if(answer.data, [](const Bucket& bucket) { return bucket.clicks == 0; });
  }
  return answer;
}

store::Scan head_scan(const ClicksRequest& request) {
  store::Scan scan = ids_of(request);
  scan.from_ms = request.from_ms;
  scan.to_ms = request.to_ms;
  // An ad that has rows is known, whenever they are; one ad's rows are few.
  scan.outside = !request.ad_id.empty();
  scan.countries = wants_countries(request);
  scan.visitors = wants_visitors(request);
  scan.estimates = scan.visitors;
  return scan;
}

}  // namespace clickmill::query
