#include "stream/ad_texts.h"

#include <algorithm>

#include "base/assert.h"

namespace clickmill::stream {
namespace {

constexpr size_t kSlotsLeast = 8;
constexpr size_t kTextsLeast = 128;
constexpr size_t kTextsMost = 4096;

/// The lowest bits of an ad's hash are one for all ads of a partition (partition_of).
uint32_t tag_of(uint64_t ad_hash) { return static_cast<uint32_t>(ad_hash >> 24); }

}  // namespace

const char* AdTexts::keep(uint64_t ad_hash, std::string_view ad_id,
                          std::string_view advertiser_id) {
  CM_ASSERT(ad_id.size() <= UINT16_MAX && advertiser_id.size() <= UINT16_MAX);
  if ((used_ + 1) * 4 > slots_.size() * 3) grow();
  const uint32_t tag = tag_of(ad_hash);
  size_t at = start_of(tag, slots_.size());
  for (; slots_[at].texts != nullptr; at = (at + 1) & (slots_.size() - 1)) {
    const Slot& slot = slots_[at];
    if (slot.tag == tag && ad_id == std::string_view(slot.texts, slot.ad_bytes) &&
        advertiser_id == std::string_view(slot.texts + slot.ad_bytes, slot.advertiser_bytes))
      return slot.texts;
  }
  ++used_;
  slots_[at] = {put(ad_id, advertiser_id), static_cast<uint16_t>(ad_id.size()),
                static_cast<uint16_t>(advertiser_id.size()), tag};
  return slots_[at].texts;
}

void AdTexts::grow() {
  std::vector<Slot> larger(std::max(kSlotsLeast, 2 * slots_.size()));
  for (const Slot& slot : slots_) {
    if (slot.texts == nullptr) continue;
    size_t at = start_of(slot.tag, larger.size());
    while (larger[at].texts != nullptr) at = (at + 1) & (larger.size() - 1);
    larger[at] = slot;
  }
  slots_ = std::move(larger);
}

const char* AdTexts::put(std::string_view ad_id, std::string_view advertiser_id) {
  // One byte at least, so that nothing found is null.
  const size_t bytes = std::max<size_t>(1, ad_id.size() + advertiser_id.size());
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

}  // namespace clickmill::stream
