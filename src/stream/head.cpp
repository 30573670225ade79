#include "stream/head.h"

#include <algorithm>
#include <limits>

#include "base/bytes.h"

namespace clickmill::stream {

std::string Head::key_of(int64_t minute_ms, std::string_view ad_id,
                         std::string_view advertiser_id) const {
  std::string key;
  append_key_u32(key, partition_.value());
  append_key_u64(key, static_cast<uint64_t>(minute_ms));
  key.append(ad_id);
  key.push_back('\0');
  key.append(advertiser_id);
  return key;
}

Status Head::load(StateStore& store) {
  std::string from;
  append_key_u32(from, partition_.value());
  std::string to;
  append_key_u32(to, partition_.value() + 1);
  Status decoded;
  TRY(store.scan(kRowsSpace, from, to, [&](std::string_view, std::string_view value) {
    ByteCursor cursor(value);
    auto row = store::decode_row(cursor);
    if (!row || !cursor.done()) {
      decoded = Error(Errc::corrupt, "a head row in the state store is malformed");
      return false;
    }
    Slot& slot = slot_of(row->bucket_ms, row->ad_id, row->advertiser_id);
    slot.counts = std::move(row->counts);
    slot.visitors = std::move(row->visitors);
    return true;
  }));
  return decoded;
}

Head::Slot& Head::slot_of(int64_t minute_ms, std::string_view ad_id, std::string_view advertiser_id) {
  Ads& ads = minutes_[minute_ms];
  auto at = ads.find(ad_id);
  if (at == ads.end()) at = ads.emplace(std::string(ad_id), std::vector<Slot>()).first;
  for (Slot& slot : at->second) {
    if (slot.advertiser_id == advertiser_id) return slot;
  }
  ++rows_;
  at->second.emplace_back().advertiser_id = advertiser_id;
  return at->second.back();
}

void Head::add(const click::ClickView& click, const click::Visitor& visitor) {
  const int64_t minute = floor_to(click.timestamp_ms.value(), kMinuteMs);
  Slot& slot = slot_of(minute, click.ad_id, click.advertiser_id);
  slot.counts.add(click.device, click.country);
  if (visitor.known) slot.visitors.add(visitor.hash);
  if (slot.dirty) return;
  slot.dirty = true;
  dirty_ads_.emplace_back(minute, click.ad_id);
}

void Head::collect(int64_t minute_ms, const std::string& ad_id, const std::vector<Slot>& slots,
                   const store::Scan& scan, std::vector<store::Row>& out) {
  for (const Slot& slot : slots) {
    if (!scan.advertiser_id.empty() && slot.advertiser_id != scan.advertiser_id) continue;
    store::Row& row = out.emplace_back();
    row.ad_id = ad_id;
    row.advertiser_id = slot.advertiser_id;
    row.bucket_ms = minute_ms;
    row.counts.clicks = slot.counts.clicks;
    row.counts.devices = slot.counts.devices;
    if (scan.countries) row.counts.countries = slot.counts.countries;
    if (scan.visitors) row.visitors = slot.visitors;
  }
}

std::vector<store::Row> Head::matching(const store::Scan& scan) const {
  std::vector<store::Row> out;
  for (auto at = minutes_.lower_bound(scan.from_ms); at != minutes_.end() && at->first < scan.to_ms; ++at) {
    if (scan.ad_id.empty()) {
      for (const auto& [ad_id, slots] : at->second) collect(at->first, ad_id, slots, scan, out);
    } else if (const auto found = at->second.find(scan.ad_id); found != at->second.end()) {
      collect(at->first, found->first, found->second, scan, out);
    }
  }
  return out;
}

size_t Head::rows_before(int64_t minute_ms) const {
  size_t rows = 0;
  for (auto at = minutes_.begin(); at != minutes_.end() && at->first < minute_ms; ++at) {
    for (const auto& [ad_id, slots] : at->second) rows += slots.size();
  }
  return rows;
}

int64_t Head::oldest_minute() const {
  return minutes_.empty() ? std::numeric_limits<int64_t>::max() : minutes_.begin()->first;
}

std::vector<store::Row> Head::closed_rows(int64_t minute_ms) const {
  store::Scan scan;
  scan.from_ms = std::numeric_limits<int64_t>::min();
  scan.to_ms = minute_ms;
  scan.countries = true;
  scan.visitors = true;
  auto rows = matching(scan);
  std::sort(rows.begin(), rows.end(), store::key_less);
  return rows;
}

void Head::drop_before(int64_t minute_ms) {
  rows_ -= rows_before(minute_ms);
  minutes_.erase(minutes_.begin(), minutes_.lower_bound(minute_ms));
  std::erase_if(dirty_ads_, [&](const auto& item) { return item.first < minute_ms; });
  dropped_before_ = std::max(dropped_before_, minute_ms);
}

void Head::checkpoint(StateBatch& batch) {
  if (dropped_before_ > 0) {
    std::string from;
    append_key_u32(from, partition_.value());
    std::string to = from;
    append_key_u64(from, 0);
    append_key_u64(to, static_cast<uint64_t>(dropped_before_));
    // Before the puts: a straggler's row for a dropped minute may follow among them.
    batch.remove_range(kRowsSpace, std::move(from), std::move(to));
    dropped_before_ = 0;
  }
  for (const auto& [minute, ad_id] : dirty_ads_) {
    for (Slot& slot : minutes_[minute].find(ad_id)->second) {
      if (!slot.dirty) continue;
      slot.dirty = false;
      std::string value;
      store::encode_row({slot.advertiser_id, ad_id, minute, slot.counts, slot.visitors}, value);
      batch.put(kRowsSpace, key_of(minute, ad_id, slot.advertiser_id), std::move(value));
    }
  }
  dirty_ads_.clear();
}

}  // namespace clickmill::stream
