#include "stream/minute_rows.h"

#include <algorithm>

#include "base/assert.h"
#include "base/checksum.h"

namespace clickmill::stream {
namespace {

// An import over many minutes makes thousands of them with a row or two each.
constexpr size_t kSlotsLeast = 2;
constexpr size_t kTextsLeast = 48;
constexpr size_t kTextsMost = 4096;

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

uint64_t MinuteRows::hash_of(std::string_view ad_id) { return xxh64_of(ad_id); }

void MinuteRows::prefetch(uint64_t ad_hash) const {
  if (slots_.empty()) return;
  const Slot& slot = slots_[start_of(ad_hash)];
  if (slot.row != 0) __builtin_prefetch(&rows_[slot.row - 1], 1);
}

size_t MinuteRows::find_or_add(uint64_t ad_hash, std::string_view ad_id,
                               std::string_view advertiser_id, bool automated) {
  const auto tag = static_cast<uint32_t>(ad_hash);
  if (slots_.empty()) slots_.resize(kSlotsLeast);
  for (size_t at = start_of(ad_hash);; at = (at + 1) & (slots_.size() - 1)) {
    const Slot& slot = slots_[at];
    if (slot.row == 0) break;
    if (slot.tag != tag) continue;
    const Row& row = rows_[slot.row - 1];
    if (row.automated == automated && row.ad_id() == ad_id &&
        row.advertiser_id() == advertiser_id) {
      return slot.row - 1;
    }
  }
  if ((rows_.size() + 1) * 4 > slots_.size() * 3) grow();
  CM_ASSERT(ad_id.size() <= UINT16_MAX && advertiser_id.size() <= UINT16_MAX);
  Row& row = rows_.emplace_back();
  row.texts = keep(ad_id, advertiser_id);
  row.ad_bytes = static_cast<uint16_t>(ad_id.size());
  row.advertiser_bytes = static_cast<uint16_t>(advertiser_id.size());
  row.automated = automated;
  place(ad_hash, rows_.size() - 1);
  return rows_.size() - 1;
}

void MinuteRows::place(uint64_t ad_hash, size_t number) {
  size_t at = start_of(ad_hash);
  while (slots_[at].row != 0) at = (at + 1) & (slots_.size() - 1);
  slots_[at] = {static_cast<uint32_t>(ad_hash), static_cast<uint32_t>(number + 1)};
}

void MinuteRows::grow() {
  slots_.assign(slots_.size() * 2, {});
  for (size_t i = 0; i < rows_.size(); ++i) place(hash_of(rows_[i].ad_id()), i);
}

const char* MinuteRows::keep(std::string_view ad_id, std::string_view advertiser_id) {
  const size_t bytes = ad_id.size() + advertiser_id.size();
  if (text_used_ + bytes > text_bytes_) {
    text_bytes_ = std::max(bytes, std::clamp(2 * text_bytes_, kTextsLeast, kTextsMost));
    text_used_ = 0;
    texts_.push_back(std::make_unique<char[]>(text_bytes_));
    texts_total_ += text_bytes_;
  }
  char* const at = texts_.back().get() + text_used_;
  std::copy(ad_id.begin(), ad_id.end(), at);
  std::copy(advertiser_id.begin(), advertiser_id.end(), at + ad_id.size());
  text_used_ += bytes;
  return at;
}

size_t MinuteRows::memory_bytes() const {
  size_t bytes = slots_.capacity() * sizeof(Slot) + rows_.size() * sizeof(Row) + texts_total_;
  for (const Row& row : rows_) bytes += row.countries.memory_bytes() + row.visitors.memory_bytes();
  return bytes;
}

}  // namespace clickmill::stream
