// Dictionary, inside a part (its checksum stands in the footer):
//   varint  number of advertisers, then for each, rising:
//     varint  bytes shared with the advertiser before
//     bytes   the rest of its id
//     varint  number of its keys - 1, then for each, rising:
//       varint  bytes shared with the key before (of this or the advertiser before); if any
//               key of the part is of machines' clicks, doubled, and one more if this one is
//       bytes   the rest of its ad_id
// varint: LEB128; bytes: varint length, then the bytes.
#include "store/key_dictionary.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "base/checksum.h"

namespace clickmill::store {
namespace {

size_t shared_prefix(std::string_view a, std::string_view b) {
  const auto end = a.begin() + static_cast<std::ptrdiff_t>(std::min(a.size(), b.size()));
  return static_cast<size_t>(std::mismatch(a.begin(), end, b.begin()).first - a.begin());
}

void encode_after(std::string_view before, std::string_view id, ByteWriter& writer) {
  const size_t shared = shared_prefix(before, id);
  writer.varint(shared);
  writer.bytes(id.substr(shared));
}

/// The same with a bit beside the number.
void encode_after(std::string_view before, std::string_view id, bool bit, ByteWriter& writer) {
  const size_t shared = shared_prefix(before, id);
  writer.varint(2 * shared + (bit ? 1 : 0));
  writer.bytes(id.substr(shared));
}

}  // namespace

void KeyDictionary::Strings::add(std::string_view prefix, std::string_view suffix) {
  // The prefix may point into bytes_, which may move: append by index there.
  const std::string head(prefix);
  bytes_ += head;
  bytes_ += suffix;
  ends_.push_back(bytes_.size());
}

void KeyDictionary::add_advertiser(std::string_view prefix, std::string_view suffix) {
  advertisers_.add(prefix, suffix);
  first_key_.push_back(ads_.size());
}

void KeyDictionary::add_ad(std::string_view prefix, std::string_view suffix, bool automated) {
  ads_.add(prefix, suffix);
  automated_.push_back(automated);
  any_automated_ |= automated;
  owner_.push_back(advertisers_.size() - 1);
}

KeyDictionary KeyDictionary::of_rows(std::span<const RowView> rows, std::vector<uint32_t>& keys) {
  KeyDictionary out;
  keys.clear();
  for (size_t i = 0; i < rows.size(); ++i) {
    const bool new_advertiser = i == 0 || rows[i].advertiser_id != rows[i - 1].advertiser_id;
    if (new_advertiser) out.add_advertiser({}, rows[i].advertiser_id);
    if (new_advertiser || rows[i].ad_id != rows[i - 1].ad_id ||
        rows[i].automated != rows[i - 1].automated) {
      out.add_ad({}, rows[i].ad_id, rows[i].automated);
    }
    keys.push_back(out.size() - 1);
  }
  out.index_ads();
  return out;
}

KeyDictionary KeyDictionary::of_keys(std::span<const Key> keys) {
  KeyDictionary out;
  for (size_t i = 0; i < keys.size(); ++i) {
    const Key& key = keys[i];
    if (i == 0 || key.advertiser_id != keys[i - 1].advertiser_id)
      out.add_advertiser({}, key.advertiser_id);
    out.add_ad({}, key.ad_id, key.automated);
  }
  out.index_ads();
  return out;
}

void KeyDictionary::encode(std::string& out) const {
  ByteWriter writer(out);
  writer.varint(advertisers_.size());
  std::string_view ad_before;
  for (uint32_t a = 0; a < advertisers_.size(); ++a) {
    encode_after(a == 0 ? std::string_view() : advertisers_.at(a - 1), advertisers_.at(a), writer);
    const uint32_t end = a + 1 < advertisers_.size() ? first_key_[a + 1] : size();
    writer.varint(end - first_key_[a] - 1);
    for (uint32_t key = first_key_[a]; key < end; ++key) {
      if (any_automated_) {
        encode_after(ad_before, ads_.at(key), automated_[key], writer);
      } else {
        encode_after(ad_before, ads_.at(key), writer);
      }
      ad_before = ads_.at(key);
    }
  }
}

bool KeyDictionary::decode(ByteCursor& cursor, bool any_automated) {
  *this = KeyDictionary();
  const uint64_t advertisers = cursor.varint();
  std::string advertiser_before;
  std::string ad_before;
  bool automated_before = false;
  for (uint64_t a = 0; a < advertisers; ++a) {
    const uint64_t shared = cursor.varint();
    const std::string_view rest = cursor.bytes();
    const uint64_t more = cursor.varint();
    if (!cursor.ok() || shared > advertiser_before.size()) return false;
    add_advertiser(std::string_view(advertiser_before).substr(0, shared), rest);
    const std::string_view advertiser = advertisers_.at(static_cast<uint32_t>(a));
    if (a > 0 && advertiser <= advertiser_before) return false;
    advertiser_before = advertiser;
    // Each ad takes two bytes at least, so a wild number ends with the bytes.
    for (uint64_t i = 0;; ++i) {
      const uint64_t number = cursor.varint();
      const bool automated = any_automated && number % 2 == 1;
      const uint64_t ad_shared = any_automated ? number / 2 : number;
      const std::string_view ad_rest = cursor.bytes();
      if (!cursor.ok() || ad_shared > ad_before.size()) return false;
      if (size() == std::numeric_limits<uint32_t>::max() - 1) return false;
      add_ad(std::string_view(ad_before).substr(0, ad_shared), ad_rest, automated);
      const std::string_view ad = ads_.at(size() - 1);
      const bool machines_of_same = automated && !automated_before && ad == ad_before;
      if (i > 0 && ad <= ad_before && !machines_of_same) return false;
      ad_before = ad;
      automated_before = automated;
      if (i == more) break;
    }
  }
  index_ads();
  return cursor.ok() && any_automated_ == any_automated;
}

void KeyDictionary::index_ads() {
  heads_.assign(std::bit_ceil(std::max<size_t>(ads_.size(), 1)), 0);
  next_.assign(ads_.size(), 0);
  for (uint32_t key = 0; key < ads_.size(); ++key) {
    uint32_t& head = heads_[xxh64_of(ads_.at(key)) & (heads_.size() - 1)];
    next_[key] = head;
    head = key + 1;
  }
}

size_t KeyDictionary::memory_bytes() const {
  size_t bytes = advertisers_.memory_bytes() + ads_.memory_bytes() + automated_.capacity() / 8;
  for (const auto* numbers : {&first_key_, &owner_, &heads_, &next_})
    bytes += numbers->capacity() * sizeof(uint32_t);
  return bytes;
}

uint32_t KeyDictionary::first_not_before(const PartKey& key) const {
  uint32_t low = 0;
  uint32_t high = size();
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    if (key_at(middle) < key) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

KeyDictionary::Range KeyDictionary::between(const PartKey& first, const PartKey& last) const {
  const uint32_t begin = first_not_before(first);
  uint32_t end = first_not_before(last);
  if (end < size() && key_at(end) == last) ++end;
  return {begin, std::max(begin, end)};
}

KeyDictionary::Range KeyDictionary::of_advertiser(std::string_view advertiser_id) const {
  if (advertiser_id.empty()) return {0, size()};
  uint32_t low = 0;
  uint32_t high = advertisers_.size();
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    if (advertisers_.at(middle) < advertiser_id) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low == advertisers_.size() || advertisers_.at(low) != advertiser_id) return {0, 0};
  return {first_key_[low], low + 1 < advertisers_.size() ? first_key_[low + 1] : size()};
}

std::vector<KeyDictionary::Range> KeyDictionary::find(std::string_view advertiser_id,
                                                      std::string_view ad_id) const {
  const Range all = of_advertiser(advertiser_id);
  std::vector<Range> out;
  if (ad_id.empty()) {
    if (all.begin < all.end) out.push_back(all);
    return out;
  }
  uint32_t at = heads_[xxh64_of(ad_id) & (heads_.size() - 1)];
  for (; at != 0; at = next_[at - 1]) {
    const uint32_t key = at - 1;
    if (key >= all.begin && key < all.end && ads_.at(key) == ad_id) out.push_back({key, key + 1});
  }
  std::reverse(out.begin(), out.end());
  return out;
}

}  // namespace clickmill::store
