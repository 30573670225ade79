#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/row.h"
#include "store/scan.h"

namespace clickmill::store {

/// The (advertiser_id, ad_id, automated) keys of a part, in their order; rows and blocks
/// name them by index. Format: top of key_dictionary.cpp.
/// Thread: any, once built.
class KeyDictionary {
 public:
  /// The keys of sorted rows; `keys` gets each row's index.
  static KeyDictionary of_rows(std::span<const RowView> rows, std::vector<uint32_t>& keys);
  struct Key {
    std::string advertiser_id;
    std::string ad_id;
    bool automated = false;
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  /// Of keys that are sorted and distinct.
  static KeyDictionary of_keys(std::span<const Key> keys);
  /// Whether any key is of machines' clicks: then it is encoded so that these are told apart.
  bool any_automated() const { return any_automated_; }
  void encode(std::string& out) const;
  /// False for anything encode() of a dictionary with that any_automated() can't have written.
  bool decode(ByteCursor& cursor, bool any_automated);

  uint32_t size() const { return static_cast<uint32_t>(ads_.size()); }
  size_t memory_bytes() const;
  std::string_view ad_id(uint32_t key) const { return ads_.at(key); }
  std::string_view advertiser_id(uint32_t key) const { return advertisers_.at(owner_[key]); }
  bool automated(uint32_t key) const { return automated_[key]; }

  struct Range {
    uint32_t begin;
    uint32_t end;
  };
  /// All keys from `first` to `last`, which need not be there.
  Range between(const PartKey& first, const PartKey& last) const;
  /// All keys of the advertiser (empty: of every one).
  Range of_advertiser(std::string_view advertiser_id) const;
  /// The keys that match, rising and disjoint; an ad may have stood under several
  /// advertisers, and has a key of its own for machines. Empty ids match all.
  std::vector<Range> find(std::string_view advertiser_id, std::string_view ad_id) const;
  /// Whether the range is one key, of clicks that are not wanted.
  bool passes_over(Range keys, Automated wanted) const {
    return keys.end - keys.begin == 1 && !takes(wanted, automated(keys.begin));
  }

 private:
  /// Many strings in one piece of memory.
  class Strings {
   public:
    uint32_t size() const { return static_cast<uint32_t>(ends_.size()); }
    std::string_view at(uint32_t i) const {
      const size_t begin = i == 0 ? 0 : ends_[i - 1];
      return std::string_view(bytes_).substr(begin, ends_[i] - begin);
    }
    void add(std::string_view prefix, std::string_view suffix);
    size_t memory_bytes() const { return bytes_.capacity() + ends_.capacity() * sizeof(size_t); }

   private:
    std::string bytes_;
    std::vector<size_t> ends_;
  };
  void add_advertiser(std::string_view prefix, std::string_view suffix);
  void add_ad(std::string_view prefix, std::string_view suffix, bool automated);
  void index_ads();
  PartKey key_at(uint32_t key) const { return {advertiser_id(key), ad_id(key), automated(key)}; }
  uint32_t first_not_before(const PartKey& key) const;

  Strings advertisers_;
  Strings ads_;                  // one per key; the same text for each key of an ad
  std::vector<bool> automated_;  // of each key
  bool any_automated_ = false;
  std::vector<uint32_t> first_key_;  // of each advertiser
  std::vector<uint32_t> owner_;      // advertiser of each key
  // Chained hash of ad_ids: the order is by advertiser, most requests name the ad alone.
  std::vector<uint32_t> heads_;  // size a power of two; key + 1, or 0
  std::vector<uint32_t> next_;   // key + 1, or 0; later keys first
};

}  // namespace clickmill::store
