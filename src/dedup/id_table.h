#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/checksum.h"
#include "base/strong.h"

namespace clickmill::dedup {

/// Number of the band that an hour is in, since 1970. Bands of other lengths are
/// other bands: their numbers must not meet.
constexpr int64_t band_of(LogHour hour, int64_t hours_per_band) {
  return floor_to(hour.value(), hours_per_band) / hours_per_band;
}

/// Proves that an id is new without a disk read: a table of 14-bit fingerprints
/// in cache lines, each fingerprint tagged with the band (a few log hours) under
/// which its id was filed. No match means the id is not there; a match names the
/// bands to ask and is wrong for about one id in 300.
///
/// An id has two candidate lines and goes to the emptier (Azar et al., "Balanced
/// Allocations", 1994), so that lines fill evenly. 32 shards grow one at a time,
/// each in small steps: lines become wider (40 to 64 bytes), then twice as many.
/// A doubling takes the lowest bit of each fingerprint to choose between the two
/// new lines, so nothing is read from disk; old fingerprints are one bit shorter
/// from then on (compare Pagh, Segev, Wieder, "How to Approximate a Set Without
/// Knowing Its Size in Advance", 2013). Formats: top of id_table.cpp.
///
/// Bands never decrease from one insert to the next.
/// Thread: worker. Cost: two cache misses per id, hidden by prefetch().
class IdTable {
 public:
  /// Nothing is filed yet in any band from `first_band` on.
  explicit IdTable(int64_t first_band);

  /// Bit i of `bands` is set if the id may stand in band `first_band + i`.
  /// Nothing is known of bands before `first_band`.
  struct Match {
    int64_t first_band;
    uint32_t bands;
  };
  Match find(const Hash128& id) const;
  void insert(const Hash128& id, int64_t band);
  void prefetch(const Hash128& id) const;
  /// Bands before this one need not be found any more; their slots are used again.
  void forget_before(int64_t band);

  /// Bands that stay in the table at least, the newest included.
  static constexpr int64_t kBandsKept = 26;

  /// The shard of an id is the top bits of its high half, by which it is also filed
  /// in the state store (StoredIds).
  static constexpr unsigned kShardBits = 5;
  static constexpr size_t kShards = size_t{1} << kShardBits;
  static size_t shard_of(const Hash128& id) { return id.high >> (64 - kShardBits); }

  /// The shard that has lost most bits by doublings; none: all are whole.
  std::optional<size_t> bluntest_shard() const;
  /// A table with this shard only, empty and of the same size, to be filled with its ids.
  IdTable empty_like(size_t index) const;
  /// Puts the shard of `from`, which holds all of its ids, in the place of this one's.
  void take_shard(size_t index, IdTable&& from);
  /// Ids of bands before it are not in the shard.
  int64_t first_band(size_t index) const { return shards_[index].first_band; }
  /// Appends a shard as it is now, to be read by decode_shard() some day.
  void encode_shard(size_t index, std::string& out) const;
  /// Replaces the shard. False if the bytes are in no form that encode_shard()
  /// makes, or hold anything of a band after `newest_band`.
  bool decode_shard(size_t index, std::string_view bytes, int64_t newest_band);

  uint64_t memory_bytes() const;
  uint64_t slots() const;
  /// Slots that hold an id, forgotten ones included until their line is touched.
  uint64_t used() const;

 private:
  struct Free {
    void operator()(uint8_t* bytes) const { std::free(bytes); }
  };
  /// What found no room in its line. Sorted by line, then band.
  struct Spill {
    uint32_t line;
    uint16_t fingerprint;
    uint8_t offset;  // of the band from the shard's first
    friend auto operator<=>(const Spill&, const Spill&) = default;
  };
  struct Shard {
    std::unique_ptr<uint8_t, Free> bytes;  // null until the first insert
    uint32_t width = 0;                    // bytes of a line
    uint32_t capacity = 0;                 // slots of a line: capacity_of(width)
    uint32_t line_bits = 0;                // 2^line_bits lines
    // What slots and spills count their band from; no id of the shard is of an earlier
    // one. Only rebuild() moves it: every tag would have to change with it.
    int64_t first_band = 0;
    // Ids in slots and spills, forgotten ones included until their line is cleaned.
    uint64_t used = 0;
    // Of lines whose `spilled` bit is set, and of no others: find() looks at the bit.
    std::vector<Spill> spills;
    // More than these ask for room. It grows where room didn't help, so that ids which are
    // no good hashes don't have the shard rebuilt by every insert.
    size_t spills_max = 0;
    // Band at the time of each doubling, oldest first: a fingerprint of an
    // earlier or the same band may be one bit shorter for it. Those of forgotten bands
    // go with the next rebuild().
    std::vector<int64_t> doublings;
  };
  struct Slot;
  struct Address;

  static Address address(const Shard& shard, const Hash128& id);
  static Shard empty_shard(uint32_t line_bits, uint32_t width, int64_t first_band);
  static size_t lost_bits(const Shard& shard, int64_t band);
  static bool matches(const Shard& shard, uint32_t found, uint32_t wanted, int64_t band);
  static uint32_t match_line(const Shard& shard, uint32_t line, uint32_t wanted);
  static void spill(Shard& shard, uint32_t line, Slot slot);
  static void read_line(const Shard& shard, uint32_t line, int64_t live_from,
                        std::vector<Slot>& slots);
  static bool check_lines(Shard& shard, int64_t newest_band);
  static void write_line(Shard& shard, uint32_t line, const std::vector<Slot>& slots);
  static bool copy_line(const Shard& shard, Shard& next, uint32_t line, int64_t live_from);
  static void split(const Shard& shard, const std::vector<Slot>& slots,
                    std::vector<Slot> (&halves)[2]);
  /// Frees the line's forgotten slots and says how many are left.
  uint32_t clean(Shard& shard, uint32_t line) const;
  /// Brings the live slots into a new form: the same number of lines or twice as many.
  void rebuild(Shard& shard, uint32_t line_bits, uint32_t width, int64_t first_band) const;
  void make_room(Shard& shard, int64_t band) const;

  // Never falls. Slots of earlier bands stay until an insert touches their line: till then
  // they may still match, which costs a look-up and never a verdict.
  int64_t forgotten_before_;
  // kShards of them. Each grows at a time of its own, so that no insert waits for all of
  // the table, and has its own first band and doublings for it.
  std::vector<Shard> shards_;
};

}  // namespace clickmill::dedup
