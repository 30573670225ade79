#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "catalog/snapshot.h"

namespace clickmill::catalog {

/// An immutable set of ads, spread over shards by hash, each sorted by hash. A
/// changed set shares every shard that wasn't touched, so that one put among a
/// million ads copies about a thousand pointers.
class Shards final : public Snapshot {
 public:
  const Ad* find(std::string_view ad_id) const override;
  size_t size() const override { return size_; }
  std::vector<Ad> list(std::string_view advertiser_id, std::string_view after,
                       size_t limit) const override;
  void for_each(const std::function<void(const Ad&)>& visit) const;

 private:
  friend class ShardsEditor;
  struct Slot {
    uint64_t hash;
    std::shared_ptr<const Ad> ad;
  };
  using Shard = std::vector<Slot>;
  static constexpr size_t kShards = 1024;
  static size_t shard_of(uint64_t hash) { return hash % kShards; }
  /// Where the ad stands, or where it would be put.
  static size_t place_in(const Shard& shard, uint64_t hash, std::string_view ad_id);
  static bool stands_at(const Shard& shard, size_t place, uint64_t hash, std::string_view ad_id);

  std::array<std::shared_ptr<const Shard>, kShards> shards_;  ///< null: empty
  size_t size_ = 0;
};

/// Changes to a set of ads, made into a new set by finish(). Thread: one.
class ShardsEditor {
 public:
  /// `base` may be null: no ads.
  explicit ShardsEditor(std::shared_ptr<const Shards> base);
  const Ad* find(std::string_view ad_id) const;
  /// Gives the ad that stood there before, or null.
  std::shared_ptr<const Ad> put(const Ad& ad);
  std::shared_ptr<const Ad> remove(std::string_view ad_id);
  std::shared_ptr<const Shards> finish();

 private:
  Shards::Shard& touched(size_t index);

  std::shared_ptr<Shards> next_;
  std::array<std::shared_ptr<Shards::Shard>, Shards::kShards> touched_;
};

}  // namespace clickmill::catalog
