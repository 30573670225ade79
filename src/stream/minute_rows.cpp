#include "stream/minute_rows.h"

#include "base/checksum.h"

namespace clickmill::stream {
namespace {

// An import over many minutes makes thousands of them with a row or two each: up to so many
// rows are looked through.
constexpr size_t kRowsUnindexed = 4;
constexpr uint32_t kSlotsLeast = 8;

uint16_t tag_of(uint64_t ad_hash) { return static_cast<uint16_t>(ad_hash >> 24); }

}  // namespace

store::Row MinuteRows::Row::copy(int64_t minute_ms, bool with_countries, bool with_visitors) const {
  store::Row row;
  row.ad_id = ad_id();
  row.advertiser_id = advertiser_id();
  row.automated = automated;
  row.bucket_ms = minute_ms;
  for (size_t i = 0; i < devices.size(); ++i) row.counts.clicks += devices[i];
  row.counts.devices = devices;
  if (with_countries) row.counts.countries = countries.counts();
  if (with_visitors) row.visitors = visitors;
  return row;
}

store::RowView MinuteRows::Row::view(int64_t minute_ms) const {
  store::RowView view;
  view.ad_id = ad_id();
  view.advertiser_id = advertiser_id();
  view.automated = automated;
  view.bucket_ms = minute_ms;
  for (const uint64_t clicks : devices) view.clicks += clicks;
  view.devices = devices;
  return view;
}

uint64_t MinuteRows::hash_of(std::string_view ad_id) { return xxh64_of(ad_id); }

void MinuteRows::prefetch_row(uint64_t ad_hash) const {
  if (!slots_) return;
  const Slot& slot = slots_[start_of(ad_hash)];
  if (slot.row == 0) return;
  const char* const row = reinterpret_cast<const char*>(&rows_[slot.row - 1]);
  __builtin_prefetch(row, 1);
  __builtin_prefetch(row + sizeof(Row) - 1, 1);
}

void MinuteRows::prefetch_contents(uint64_t ad_hash, uint64_t visitor_hash) const {
  if (!slots_) return;
  const Slot& slot = slots_[start_of(ad_hash)];
  if (slot.row == 0) return;
  const Row& row = rows_[slot.row - 1];
  __builtin_prefetch(row.texts);
  row.countries.prefetch();
  if (const sketch::Registers* const registers = row.visitors.dense()) {
    __builtin_prefetch(&(*registers)[visitor_hash >> (64 - sketch::Hll::kPrecision)], 1);
  } else {
    __builtin_prefetch(row.visitors.sparse().data(), 1);
  }
}

const MinuteRows::Row* MinuteRows::find(uint64_t ad_hash, std::string_view ad_id,
                                        std::string_view advertiser_id, bool automated) const {
  const auto is_it = [&](const Row& row) {
    return row.automated == automated && row.ad_id() == ad_id &&
           row.advertiser_id() == advertiser_id;
  };
  if (!slots_) {
    const uint16_t tag = tag_of(ad_hash);
    for (const Row& row : rows_) {
      if (row.tag == tag && is_it(row)) return &row;
    }
    return nullptr;
  }
  for (size_t at = start_of(ad_hash); slots_[at].row != 0; at = next(at)) {
    if (slots_[at].tag != static_cast<uint32_t>(ad_hash)) continue;
    const Row& row = rows_[slots_[at].row - 1];
    if (is_it(row)) return &row;
  }
  return nullptr;
}

size_t MinuteRows::find_or_add(uint64_t ad_hash, std::string_view ad_id,
                               std::string_view advertiser_id, bool automated) {
  if (const Row* const found = find(ad_hash, ad_id, advertiser_id, automated))
    return static_cast<size_t>(found - rows_.data());
  const size_t number = rows_.size();
  Row& row = rows_.emplace_back();
  const size_t texts_before = texts_->memory_bytes();
  row.texts = texts_->keep(ad_hash, ad_id, advertiser_id);
  heap_bytes_ += texts_->memory_bytes() - texts_before;
  row.ad_bytes = static_cast<uint16_t>(ad_id.size());
  row.advertiser_bytes = static_cast<uint16_t>(advertiser_id.size());
  row.tag = tag_of(ad_hash);
  row.automated = automated;
  if (rows_.size() <= kRowsUnindexed) return number;
  if (rows_.size() * 4 > size_t{slot_count_} * 3) {
    grow();
  } else {
    place(ad_hash, number);
  }
  return number;
}

void MinuteRows::place(uint64_t ad_hash, size_t number) {
  size_t at = start_of(ad_hash);
  while (slots_[at].row != 0) at = next(at);
  slots_[at] = {static_cast<uint32_t>(ad_hash), static_cast<uint32_t>(number + 1)};
}

void MinuteRows::grow() {
  slot_count_ = slot_count_ == 0 ? kSlotsLeast : 2 * slot_count_;
  slots_ = std::make_unique<Slot[]>(slot_count_);
  for (size_t i = 0; i < rows_.size(); ++i) place(hash_of(rows_[i].ad_id()), i);
}

}  // namespace clickmill::stream
