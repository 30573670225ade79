#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/checksum.h"
#include "base/strong.h"

namespace clickmill::dedup {

/// The exact ids filed since a checkpoint, in the order of filing, each under
/// its log hour; hours never decrease.
///
/// A flat array of ids, and for look-ups, which are rare, 64 lists by the top bits of
/// the hash: insert() only appends at the end of one, so it touches no memory that is
/// not in the cache already (a hash index of the ids would miss cache and TLB with
/// each); a look-up goes through one list, of 8 bytes an id.
/// Thread: worker.
class RecentIds {
 public:
  /// Consecutive ids of one hour.
  struct Run {
    LogHour hour;
    std::span<const Hash128> ids;
  };

  void insert(const Hash128& id, LogHour hour);
  /// The newest hour under which the id stands here.
  std::optional<LogHour> newest_hour(const Hash128& id) const;
  /// Oldest hour first.
  std::vector<Run> runs() const;
  size_t size() const { return ids_.size(); }
  /// Puts `older`, which were all filed before these, in front of them.
  void put_in_front(RecentIds&& older);
  /// Forgets all but the first `size` of them.
  void shrink(size_t size);
  bool empty() const { return ids_.empty(); }
  /// Forgets all ids and gives back their memory, unless it is little.
  void clear();
  uint64_t memory_bytes() const;

 private:
  static constexpr unsigned kListBits = 6;
  struct Start {
    LogHour hour;
    size_t index;
  };
  struct Entry {
    uint32_t tag;  ///< of the hash, so that few ids are looked at
    uint32_t index;
  };
  using Lists = std::vector<std::vector<Entry>>;
  static size_t list_of(const Hash128& id) { return id.high >> (64 - kListBits); }
  static uint32_t tag_of(const Hash128& id) { return static_cast<uint32_t>(id.high); }
  LogHour hour_at(size_t index) const;

  std::vector<Hash128> ids_;
  std::vector<Start> starts_;
  Lists lists_;  // none before the first id
};

}  // namespace clickmill::dedup
