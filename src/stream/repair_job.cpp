#include "stream/repair_job.h"

namespace clickmill::stream {

Change RepairJob::change_of(const Repair::Item& item, const store::Row& stored) const {
  Change change;
  change.kind = Change::Kind::repair;
  change.subject = record_;
  change.by = repair_.by;
  change.what = "repair";
  change.reason = "recount";
  change.ad_id = item.row.ad_id;
  change.advertiser_id = item.row.advertiser_id;
  change.minute_ms = item.row.bucket_ms;
  change.clicks = static_cast<int64_t>(item.row.counts.clicks - stored.counts.clicks);
  return change;
}

Status RepairJob::run() {
  TRY(rewrite_->open());
  std::vector<store::Row> wrong;
  for (const Repair::Item& item : repair_.items) {
    if (item.row.bucket_ms >= closed_before_) continue;
    const store::Row stored = TRY(rewrite_->stored_row(item.row));
    if (fingerprint_of(stored) != item.instead_of) continue;
    changes_.push_back(change_of(item, stored));
    wrong.push_back(item.row);
  }
  return wrong.empty() ? Status() : rewrite_->run(wrong);
}

}  // namespace clickmill::stream
