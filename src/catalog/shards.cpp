#include "catalog/shards.h"

#include <algorithm>

#include "base/checksum.h"

namespace clickmill::catalog {

size_t Shards::place_in(const Shard& shard, uint64_t hash, std::string_view ad_id) {
  const auto before = [&](const Slot& slot, uint64_t wanted) {
    return slot.hash != wanted ? slot.hash < wanted : slot.ad->ad_id < ad_id;
  };
  const auto at = std::lower_bound(shard.begin(), shard.end(), hash, before);
  return static_cast<size_t>(at - shard.begin());
}

bool Shards::stands_at(const Shard& shard, size_t place, uint64_t hash, std::string_view ad_id) {
  return place < shard.size() && shard[place].hash == hash && shard[place].ad->ad_id == ad_id;
}

const Ad* Shards::find(std::string_view ad_id) const {
  const uint64_t hash = xxh64_of(ad_id);
  const auto& shard = shards_[shard_of(hash)];
  if (shard == nullptr) return nullptr;
  const size_t place = place_in(*shard, hash, ad_id);
  return stands_at(*shard, place, hash, ad_id) ? (*shard)[place].ad.get() : nullptr;
}

void Shards::for_each(const std::function<void(const Ad&)>& visit) const {
  for (const auto& shard : shards_) {
    if (shard == nullptr) continue;
    for (const auto& slot : *shard) visit(*slot.ad);
  }
}

std::vector<Ad> Shards::list(std::string_view advertiser_id, std::string_view after,
                             size_t limit) const {
  // One pass over all ads that keeps the `limit` smallest in a heap: listing is
  // rare, and an index in order would make every put dearer.
  const auto by_id = [](const Ad* a, const Ad* b) { return a->ad_id < b->ad_id; };
  std::vector<const Ad*> heap;
  if (limit > 0) {
    for_each([&](const Ad& ad) {
      if (!after.empty() && ad.ad_id <= after) return;
      if (heap.size() == limit && !by_id(&ad, heap.front())) return;
      if (!advertiser_id.empty() && ad.advertiser_id != advertiser_id) return;
      if (heap.size() == limit) {
        std::pop_heap(heap.begin(), heap.end(), by_id);
        heap.pop_back();
      }
      heap.push_back(&ad);
      std::push_heap(heap.begin(), heap.end(), by_id);
    });
  }
  std::sort_heap(heap.begin(), heap.end(), by_id);
  std::vector<Ad> ads;
  ads.reserve(heap.size());
  for (const Ad* ad : heap) ads.push_back(*ad);
  return ads;
}

ShardsEditor::ShardsEditor(std::shared_ptr<const Shards> base)
    : next_(base == nullptr ? std::make_shared<Shards>() : std::make_shared<Shards>(*base)) {}

Shards::Shard& ShardsEditor::touched(size_t index) {
  if (touched_[index] == nullptr) {
    const auto& shared = next_->shards_[index];
    touched_[index] = shared == nullptr ? std::make_shared<Shards::Shard>()
                                        : std::make_shared<Shards::Shard>(*shared);
    // Readers of next_ look here too: find() sees what was put.
    next_->shards_[index] = touched_[index];
  }
  return *touched_[index];
}

const Ad* ShardsEditor::find(std::string_view ad_id) const { return next_->find(ad_id); }

std::shared_ptr<const Ad> ShardsEditor::put(const Ad& ad) {
  const uint64_t hash = xxh64_of(ad.ad_id);
  auto& shard = touched(Shards::shard_of(hash));
  const size_t place = Shards::place_in(shard, hash, ad.ad_id);
  auto added = std::make_shared<const Ad>(ad);
  if (Shards::stands_at(shard, place, hash, ad.ad_id)) {
    shard[place].ad.swap(added);
    return added;
  }
  shard.insert(shard.begin() + static_cast<ptrdiff_t>(place), {hash, std::move(added)});
  ++next_->size_;
  return nullptr;
}

std::shared_ptr<const Ad> ShardsEditor::remove(std::string_view ad_id) {
  if (find(ad_id) == nullptr) return nullptr;
  const uint64_t hash = xxh64_of(ad_id);
  auto& shard = touched(Shards::shard_of(hash));
  const size_t place = Shards::place_in(shard, hash, ad_id);
  auto removed = std::move(shard[place].ad);
  shard.erase(shard.begin() + static_cast<ptrdiff_t>(place));
  --next_->size_;
  return removed;
}

std::shared_ptr<const Shards> ShardsEditor::finish() {
  touched_ = {};
  return std::move(next_);
}

}  // namespace clickmill::catalog
