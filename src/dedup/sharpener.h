#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "base/checksum.h"
#include "base/result.h"
#include "dedup/id_table.h"
#include "dedup/recent_ids.h"
#include "dedup/stored_ids.h"

namespace clickmill::dedup {

/// Gives a table back the bits that its fingerprints lose when it doubles: every
/// lost bit makes twice as many ids look as if they had been here, and each of
/// those costs a look-up in the state store. A shard at a time is filled anew with
/// the ids that are stored, a little at each step, while the old one goes on
/// answering; what is filed meanwhile is kept and added at the end.
///
/// In a table that grows all the time an id is read again about twice; in one that
/// has its size, never. Thread: worker.
class Sharpener {
 public:
  /// `stored` is borrowed.
  explicit Sharpener(StoredIds& stored) : stored_(stored) {}

  /// Begins with the bluntest shard of `table`, if there is one, or goes on.
  /// `recent`: all ids that are not in the state store. `first_hour`: earlier ones are
  /// forgotten. An error gives the shard up; nothing has changed then.
  Status step(IdTable& table, const RecentIds& recent, LogHour first_hour, int64_t hours_per_band);
  /// An id went to the table.
  void filed(const Hash128& id, int64_t band) {
    if (work_ && IdTable::shard_of(id) == work_->shard) work_->filed.emplace_back(id, band);
  }
  /// The table is about to be another one.
  void give_up() { work_.reset(); }
  uint64_t memory_bytes() const;
  /// Shards filled anew so far.
  uint64_t sharpened() const { return sharpened_; }

 private:
  struct Work {
    size_t shard;
    IdTable fresh;
    StoredIds::ReadPosition place;
    uint32_t sequence_end;  ///< what is stored with later ones stands in `filed`
    std::vector<std::pair<Hash128, int64_t>> filed;  ///< id, band
  };
  void begin(const IdTable& table, const RecentIds& recent, LogHour first_hour,
             int64_t hours_per_band);

  StoredIds& stored_;
  std::optional<Work> work_;
  uint64_t sharpened_ = 0;
};

}  // namespace clickmill::dedup
