#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/checksum.h"
#include "base/result.h"
#include "base/strong.h"
#include "state/slot.h"
#include "state/store.h"

namespace clickmill::dedup {

/// One partition's ids in the state store, by log hour. Format: top of stored_ids.cpp.
///
/// Borrows the store. Nothing is written but through the batches of write() and
/// remove_before(); what they add is found once the batch is committed.
/// Errors: a failed read, or a key or value that is not in the format (corrupt).
/// Thread: worker.
class StoredIds {
 public:
  StoredIds(state::Slot slot, state::Store& store);
  /// Learns which hours there are; reads a few keys of each. Before all else.
  Status open();

  /// Hours that may hold ids of this partition, oldest first.
  const auto& hours() const { return hours_; }
  Result<bool> contains(LogHour hour, const Hash128& id);
  /// Every id of the hour, some at a time, with the sequence of the write() that
  /// added them. Must be called for the newest hour after open(), before
  /// write() adds to it.
  using Visit = std::function<void(uint32_t sequence, std::span<const Hash128> ids)>;
  Status for_each(LogHour hour, const Visit& visit);
  /// Some of the ids whose high half begins with certain bits, and where their reading is.
  struct HashPrefix {
    unsigned bits;   ///< how many, at most 8
    uint64_t value;  ///< of these bits
  };
  struct ReadPosition {
    LogHour hour;  ///< the first one to be read
    unsigned bits = 0;
    std::string key = {};
  };
  /// Visits ids of the share, hour by hour, that writes before `sequence_end` have
  /// added: about `ids_most` of them from `place` on, which moves on. True: there are
  /// no more.
  using VisitHour = std::function<void(LogHour hour, std::span<const Hash128> ids)>;
  Result<bool> read_some(HashPrefix share, uint32_t sequence_end, size_t ids_most,
                         ReadPosition& place, const VisitHour& visit);
  /// Of the next write(). They never decrease while the object lives.
  uint32_t next_sequence() const { return next_sequence_; }
  void skip_sequences_before(uint32_t sequence) {
    next_sequence_ = std::max(next_sequence_, sequence);
  }
  void write(state::Batch& batch, LogHour hour, std::span<const Hash128> ids);
  void remove_before(state::Batch& batch, LogHour hour);
  /// The batch of the last remove_before() was not committed.
  void removal_failed() { hours_.merge(removed_); }

 private:
  struct Hour {
    uint32_t bucketings = 0;  // bit b: there are values in 2^b buckets
  };
  Status learn(LogHour hour);
  Result<bool> read_buckets(HashPrefix share, uint32_t sequence_end, size_t ids_most, size_t& read,
                            ReadPosition& place, const VisitHour& visit);
  std::string prefix(unsigned bits) const;
  std::string prefix(unsigned bits, uint64_t bucket) const;

  state::Store* store_;
  std::string partition_key_;
  uint32_t next_sequence_ = 0;
  std::map<LogHour, Hour> hours_;
  std::map<LogHour, Hour> removed_;  // by the last remove_before()
};

}  // namespace clickmill::dedup
