#include "stream/head.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/checksum.h"

namespace clickmill::stream {
namespace {

// Of an encoded row about, without its names and visitors.
constexpr size_t kRowBytes = 40;

}  // namespace

std::string Head::key_of(const store::RowView& row) const {
  std::string key;
  key.reserve(14 + row.ad_id.size() + row.advertiser_id.size());
  append_key_u32(key, slot_.value());
  append_key_u64(key, static_cast<uint64_t>(row.bucket_ms));
  key.append(row.ad_id);
  key.push_back('\0');
  key.append(row.advertiser_id);
  if (row.automated) key.push_back('\0');
  return key;
}

Status Head::load(state::Store& store) {
  std::string from;
  append_key_u32(from, slot_.value());
  std::string to;
  append_key_u32(to, slot_.value() + 1);
  Status decoded;
  TRY(store.scan(state::kRowsSpace, from, to, [&](std::string_view, std::string_view value) {
    ByteCursor cursor(value);
    auto row = store::decode_row(cursor);
    if (!row || !cursor.done()) {
      decoded = Error(Errc::corrupt, "a head row in the state store is malformed");
      return false;
    }
    MinuteRows& minute = rows_of(row->bucket_ms);
    const size_t before = minute.memory_bytes();
    const size_t number = minute.find_or_add(MinuteRows::hash_of(row->ad_id), row->ad_id,
                                             row->advertiser_id, row->automated);
    MinuteRows::Row& slot = minute[number];
    slot.devices = row->counts.devices;
    for (const auto& [country, clicks] : row->counts.countries) slot.countries.add(country, clicks);
    slot.visitors = std::move(row->visitors);
    minute.grew(slot.memory_bytes());
    bytes_ += minute.memory_bytes() - before;
    ++rows_;
    return true;
  }));
  return decoded;
}

MinuteRows& Head::rows_of(int64_t minute_ms) {
  if (last_rows_ == nullptr || last_minute_ != minute_ms) {
    const auto [at, added] = minutes_.try_emplace(minute_ms, texts_);
    if (added) bytes_ += FrozenRows::kMinuteBytes;
    last_rows_ = &at->second;
    last_minute_ = minute_ms;
  }
  return *last_rows_;
}

void Head::add(const Click& click) {
  MinuteRows& minute = rows_of(floor_to(click.timestamp_ms.value(), kMinuteMs));
  const size_t rows_before = minute.size();
  const size_t bytes_before = minute.memory_bytes();
  const size_t number =
      minute.find_or_add(click.ad_hash, click.ad_id, click.advertiser_id, click.automated);
  rows_ += minute.size() - rows_before;
  MinuteRows::Row& row = minute[number];
  const size_t row_before = row.memory_bytes();
  ++row.devices[static_cast<size_t>(click.device)];
  row.countries.add(click.country);
  if (click.visitor.known) row.visitors.add(click.visitor.hash);
  // What was dense is smaller than it was sparse.
  minute.grew(row.memory_bytes() - row_before);
  bytes_ += minute.memory_bytes() - bytes_before;
  mark(last_minute_, number, row);
}

void Head::mark(int64_t minute_ms, size_t number, MinuteRows::Row& row) {
  if (row.dirty) return;
  row.dirty = true;
  dirty_.emplace_back(minute_ms, number);
}

std::vector<store::Row> Head::matching(const store::Scan& scan) const {
  if (scan.folded) return folded(scan);
  std::vector<store::Row> out;
  const bool outside = scan.outside && !scan.ad_id.empty();
  const uint64_t ad_hash = MinuteRows::hash_of(scan.ad_id);
  const auto end = outside ? minutes_.end() : minutes_.lower_bound(scan.to_ms);
  for (auto at = outside ? minutes_.begin() : minutes_.lower_bound(scan.from_ms); at != end; ++at) {
    const auto& [minute_ms, minute] = *at;
    const bool inside = minute_ms >= scan.from_ms && minute_ms < scan.to_ms;
    const auto take = [&, ms = minute_ms](const MinuteRows::Row& row) {
      if (!scan.advertiser_id.empty() && row.advertiser_id() != scan.advertiser_id) return;
      if (!store::takes(scan.automated, row.automated)) return;
      out.push_back(row.copy(ms, inside && scan.countries, inside && scan.visitors));
    };
    if (scan.ad_id.empty()) {
      for (size_t i = 0; i < minute.size(); ++i) take(minute[i]);
    } else {
      minute.each(ad_hash, scan.ad_id, take);
    }
  }
  return out;
}

/// Every ad of a partition stands in most of its minutes: one row to each is soon copied.
std::vector<store::Row> Head::folded(const store::Scan& scan) const {
  MinuteRows places(
      std::make_shared<AdTexts>());  // finds an ad's place in `out`; its own rows stay empty
  std::vector<store::Row> out;
  const auto end = minutes_.lower_bound(scan.to_ms);
  for (auto at = minutes_.lower_bound(scan.from_ms); at != end; ++at) {
    const auto& [minute_ms, minute] = *at;
    for (size_t i = 0; i < minute.size(); ++i) {
      const MinuteRows::Row& row = minute[i];
      if (!scan.advertiser_id.empty() && row.advertiser_id() != scan.advertiser_id) continue;
      if (!store::takes(scan.automated, row.automated)) continue;
      const size_t place = places.find_or_add(MinuteRows::hash_of(row.ad_id()), row.ad_id(),
                                              row.advertiser_id(), row.automated);
      if (place == out.size()) {
        out.push_back(row.copy(minute_ms, scan.countries, false));
        continue;
      }
      store::Row& sum = out[place];
      sum.bucket_ms = minute_ms;
      if (scan.countries) {
        sum.counts.merge(row.copy(minute_ms, true, false).counts);
        continue;
      }
      for (size_t d = 0; d < click::kDevices; ++d) {
        sum.counts.devices[d] += row.devices[d];
        sum.counts.clicks += row.devices[d];
      }
    }
  }
  return out;
}

size_t Head::rows_before(int64_t minute_ms) const {
  // From the end: an import fills thousands of minutes that are closed, and few are open.
  size_t rows = rows_;
  for (auto at = minutes_.lower_bound(minute_ms); at != minutes_.end(); ++at) {
    rows -= at->second.size();
  }
  return rows;
}

uint64_t Head::bytes_before(int64_t minute_ms) const {
  uint64_t bytes = bytes_;
  for (auto at = minutes_.lower_bound(minute_ms); at != minutes_.end(); ++at)
    bytes -= FrozenRows::kMinuteBytes + at->second.memory_bytes();
  return bytes;
}

int64_t Head::oldest_minute() const {
  return minutes_.empty() ? std::numeric_limits<int64_t>::max() : minutes_.begin()->first;
}

uint64_t Head::memory_bytes() const {
  return bytes_ + frozen_bytes(0) + (dirty_.capacity() + in_flight_.capacity()) * sizeof(dirty_[0]);
}

uint64_t Head::digest_from(int64_t minute_ms) const {
  uint64_t sum = 0;
  std::string bytes;
  for (auto at = minutes_.lower_bound(minute_ms); at != minutes_.end(); ++at) {
    for (size_t i = 0; i < at->second.size(); ++i) {
      const MinuteRows::Row& row = at->second[i];
      bytes.clear();
      ByteWriter out(bytes);
      out.svarint(at->first);
      out.bytes(row.ad_id());
      out.bytes(row.advertiser_id());
      out.u8(row.automated ? 1 : 0);
      for (const uint64_t clicks : row.devices) out.varint(clicks);
      for (const auto& [country, clicks] : row.countries.counts()) {
        out.varint(country);
        out.varint(clicks);
      }
      out.varint(row.visitors.estimate());
      sum += xxh64_of(bytes);
    }
  }
  return sum;
}

Result<store::RowViews> sorted_rows(const Head::Frozen& frozen) {
  store::Scan all;
  all.from_ms = std::numeric_limits<int64_t>::min();
  all.to_ms = std::numeric_limits<int64_t>::max();
  all.countries = all.visitors = true;
  store::RowViews rows;
  std::vector<size_t> ends;
  for (const auto& minutes : frozen) {
    minutes->scan(store::Table::minute, all,
                  [&rows](const store::RowView& view, const sketch::Hll* visitors) {
                    store::RowView whole = view;
                    const std::string sketch = visitors->serialize();
                    whole.visitors = sketch;
                    rows.add(whole);
                  });
    ends.push_back(rows.size());
  }
  TRY(rows.merge_runs(ends));
  return rows;
}

void Head::freeze_before(int64_t minute_ms) {
  const auto end = minutes_.lower_bound(minute_ms);
  if (end == minutes_.begin()) return;
  Minutes closed;
  while (minutes_.begin() != end) closed.insert(closed.end(), minutes_.extract(minutes_.begin()));
  const auto frozen = std::make_shared<const FrozenRows>(std::move(closed));
  texts_ = std::make_shared<AdTexts>();
  bytes_ -= frozen->memory_bytes();
  rows_ -= frozen->size();
  frozen_rows_ += frozen->size();
  frozen_.push_back(frozen);
  last_rows_ = nullptr;
  for (RowNumbers* const numbers : {&dirty_, &in_flight_})
    std::erase_if(*numbers, [&](const auto& item) { return item.first < minute_ms; });
  removed_before_ = std::max(removed_before_, minute_ms);
}

uint64_t Head::frozen_bytes(size_t skipped) const {
  uint64_t bytes = 0;
  for (size_t i = skipped; i < frozen_.size(); ++i) bytes += frozen_[i]->memory_bytes();
  return bytes;
}

void Head::drop_frozen(size_t first) {
  CM_ASSERT(first <= frozen_.size());
  for (size_t i = 0; i < first; ++i) frozen_rows_ -= frozen_[i]->size();
  frozen_.erase(frozen_.begin(), frozen_.begin() + static_cast<std::ptrdiff_t>(first));
}

void Head::checkpoint(state::Batch& batch) {
  CM_ASSERT(in_flight_.empty());
  removing_before_ = std::exchange(removed_before_, 0);
  if (removing_before_ > 0) {
    std::string from;
    append_key_u32(from, slot_.value());
    std::string to = from;
    append_key_u64(from, 0);
    append_key_u64(to, static_cast<uint64_t>(removing_before_));
    // Before the puts: a straggler's row for a removed minute may follow among them.
    batch.remove_range(state::kRowsSpace, std::move(from), std::move(to));
  }
  std::vector<std::pair<click::Country, uint64_t>> countries;
  for (const auto& [minute_ms, number] : dirty_) {
    MinuteRows::Row& row = rows_of(minute_ms)[number];
    row.dirty = false;
    countries.clear();
    row.countries.counts(countries);
    const std::string visitors = row.visitors.serialize();
    store::RowView view = row.view(minute_ms);
    view.countries = countries.data();
    view.countries_size = countries.size();
    view.visitors = visitors;
    std::string value;
    value.reserve(kRowBytes + view.ad_id.size() + view.advertiser_id.size() + visitors.size());
    store::encode_row(view, value);
    batch.put(state::kRowsSpace, key_of(view), std::move(value));
  }
  in_flight_.swap(dirty_);
}

void Head::checkpoint_committed() {
  in_flight_.clear();
  removing_before_ = 0;
}

void Head::checkpoint_failed() {
  for (const auto& [minute_ms, number] : in_flight_) {
    mark(minute_ms, number, rows_of(minute_ms)[number]);
  }
  in_flight_.clear();
  removed_before_ = std::max(removed_before_, std::exchange(removing_before_, 0));
}

}  // namespace clickmill::stream
