#pragma once

// dedup/ answers one question a million times a second: was this id there already? It
// knows ids and log hours, no clicks.
// Dedup decides. IdTable (id_table.h) holds a short fingerprint of every id kept and
// answers "surely not" without the disk; StoredIds has the ids themselves, an hour in a
// space of the state store; RecentIds those that no checkpoint holds yet. Sharpener makes
// a table that has grown precise again; TableImages lets a start skip reading all ids;
// IdSpaces drops hours that nobody needs.
// Called by stream/ on the partition's worker; images are written in the background.
// Promise: the verdict depends on the log alone. Begin with Dedup, then IdTable.

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/checksum.h"
#include "base/result.h"
#include "base/strong.h"
#include "dedup/table_image.h"
#include "state/slot.h"
#include "state/store.h"

namespace clickmill::dedup {

/// A click's identity and arrival, as dedup needs them. `id` is the 128-bit
/// hash of (ad_id, click_id) with the data's secret seed.
struct Identity {
  Hash128 id;
  ArrivalMs received;
};

/// Remembers the identities of one partition, filed under the log hour of the
/// batch that brought them, and says which of a batch stand there already.
///
/// The verdict (DESIGN §5): duplicate ⇔ the id stands in a log hour from
/// max(F, hour(received) − dedup_hours) on, ids earlier in the same batch
/// included. It depends on the log alone: not on batching, restarts, table
/// size or when space really comes back. An id that is no duplicate is filed
/// under hour(append_ms) at once. (A duplicate is not filed again.)
///
/// Nothing reaches the state store but through checkpoint(); a crash goes back
/// to the last committed one.
/// Errors: a failed read of the state store is returned; the same call may be tried again.
/// Thread: worker.
class Dedup {
 public:
  struct Options {
    int64_t dedup_hours = 24;
    /// Borrowed; null: no images, every start reads all ids.
    TableImages* images = nullptr;
  };
  /// `store` is borrowed. `first_hour` is F: earlier hours are forgotten.
  /// Reads nothing yet.
  static std::unique_ptr<Dedup> open(state::Slot slot, state::Store& store, Options options,
                                     LogHour first_hour);
  virtual ~Dedup() = default;

  /// Reads what the rest needs: seconds, when there are many ids and no image of
  /// them. Whatever comes first, classify() or checkpoint(), calls it otherwise.
  virtual Status load() = 0;

  /// Fills duplicate[i] with 1 or 0. append_ms never decreases between calls.
  virtual Status classify(LogMs append_ms, std::span<const Identity> identities,
                          std::span<uint8_t> duplicate) = 0;
  /// F moves up: no look-up sees earlier hours from now on.
  virtual void forget_before(LogHour first_hour) = 0;
  /// dedup_hours changed by a settings record.
  virtual void set_dedup_hours(int64_t hours) = 0;
  /// Adds what changed since the last checkpoint to `batch` (new ids, and range
  /// deletes of this partition's share of forgotten hours).
  virtual Status checkpoint(state::Batch& batch) = 0;
  /// The batch of the last checkpoint() is durable.
  virtual void checkpoint_committed() = 0;
  /// It is not, or it isn't known whether it is: the next checkpoint() has all of it again.
  virtual void checkpoint_failed() = 0;
  /// What the ids filed since the last checkpoint() take in memory, about.
  virtual uint64_t unsaved_bytes() const = 0;
  /// The same of those on their way to the store, the batch included.
  virtual uint64_t in_flight_bytes() const = 0;
  /// Writes a slice of a table image when one is due, and reads a slice of a shard
  /// that growing has made less sharp. Call between batches. It can't fail: without
  /// it the next start, and some look-ups, only take longer.
  virtual void maintain() = 0;
  /// Hours (log hours) that this partition's durable state may still hold;
  /// a space is dropped once no partition holds it. The least number until load().
  virtual LogHour oldest_durable_hour() const = 0;

  struct Usage {
    uint64_t ids = 0;  ///< in hours not forgotten, about
    uint64_t memory_bytes = 0;
    uint64_t table_slots = 0;
    uint64_t table_used = 0;
    uint64_t store_lookups = 0;  ///< ids that had to be looked up in the state store
    uint64_t read_ids = 0;       ///< ids read from the state store to fill the table
    uint64_t sharpened = 0;  ///< shards of the table filled anew, so that they match less falsely
    uint64_t images = 0;     ///< table images written and named by a checkpoint
  };
  virtual Usage usage() const = 0;
};

}  // namespace clickmill::dedup
