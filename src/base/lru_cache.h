#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "base/checksum.h"

namespace clickmill {

/// Values by a key of 128 bits, up to so many bytes together; what was not asked for lately
/// goes first.
/// Thread: any.
template <typename Value>
class LruCache {
 public:
  using Key = Hash128;
  using Pointer = std::shared_ptr<const Value>;
  explicit LruCache(size_t bytes_most) : bytes_most_(bytes_most / kShards) {}

  /// Null: it isn't there.
  Pointer find(const Key& key) {
    Shard& shard = shard_of(key);
    std::lock_guard lock(shard.mutex);
    const auto at = shard.places.find(key);
    if (at == shard.places.end()) return nullptr;
    shard.items.splice(shard.items.begin(), shard.items, at->second);
    return at->second->value;
  }
  /// `bytes`: what the value holds. Nothing happens when the key has one already, or when it
  /// alone would take a share of all room.
  void put(const Key& key, Pointer value, size_t bytes) {
    bytes += kItemBytes;
    if (bytes > bytes_most_) return;
    Shard& shard = shard_of(key);
    std::lock_guard lock(shard.mutex);
    if (!shard.places.emplace(key, shard.items.end()).second) return;
    shard.items.push_front({key, std::move(value), bytes});
    shard.places[key] = shard.items.begin();
    shard.bytes += bytes;
    while (shard.bytes > bytes_most_) {
      shard.bytes -= shard.items.back().bytes;
      shard.places.erase(shard.items.back().key);
      shard.items.pop_back();
    }
  }
  void erase(const Key& key) {
    Shard& shard = shard_of(key);
    std::lock_guard lock(shard.mutex);
    const auto at = shard.places.find(key);
    if (at == shard.places.end()) return;
    shard.bytes -= at->second->bytes;
    shard.items.erase(at->second);
    shard.places.erase(at);
  }
  size_t bytes() const {
    size_t bytes = 0;
    for (const Shard& shard : shards_) {
      std::lock_guard lock(shard.mutex);
      bytes += shard.bytes;
    }
    return bytes;
  }

 private:
  // Of an item beside its value: nodes of list and map, and who owns it.
  static constexpr size_t kItemBytes = 192;
  static constexpr size_t kShards = 16;
  struct Item {
    Key key;
    Pointer value;
    size_t bytes;
  };
  struct Hash {
    size_t operator()(const Key& key) const { return mixed(key); }
  };
  /// Several, so that those who ask at once seldom meet.
  struct Shard {
    mutable std::mutex mutex;  // guards the rest
    std::list<Item> items;     ///< the last used first
    std::unordered_map<Key, typename std::list<Item>::iterator, Hash> places;
    size_t bytes = 0;
  };
  static uint64_t mixed(const Key& key) {
    return (key.low ^ (key.high * 0x9e3779b97f4a7c15)) * 0xbf58476d1ce4e5b9;
  }
  Shard& shard_of(const Key& key) { return shards_[mixed(key) >> 60]; }

  const size_t bytes_most_;  ///< of a shard
  std::array<Shard, kShards> shards_;
};

}  // namespace clickmill
