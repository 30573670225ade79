// A line, `width` = 40, 44, … 64 bytes with capacity = (8·width − 65) / 14 slots:
//
//   offset        size            field
//   0             8               tags
//   8             capacity        bits 0–7 of each slot's fingerprint
//   8 + capacity  6·capacity bits bits 8–13 of each slot's fingerprint
//   last bit      1 bit           some of the line's slots are in `spills`
//
// Slots are filled in the order of their bands. `tags` says which band each is
// in, read from the lowest bit: 0 is the next slot, 1 is a step to the next band
// (from the shard's first on), and the highest bit set ends it. So the tag
// costs a bit per slot and a bit per band: n + 31 + 1 ≤ 63. All zero is an empty line.
//
// With 2^b lines, id.low gives the first candidate line (its low b bits) and the
// fingerprint (the 14 bits above). The second line differs from the first in
// the low 6 bits only, by bits of id.high. So whichever of the two a fingerprint
// is in, its lowest bit says where it goes when the lines double; the bit that
// it would need at its top is unknown then and stands as 0.

#include "stream/id_table.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/assert.h"

namespace clickmill::stream {
namespace {

static_assert(std::endian::native == std::endian::little, "slots are found by byte order");

constexpr size_t kShards = 32;
constexpr uint32_t kFingerprintBits = 14;
constexpr uint32_t kFingerprintMask = (1 << kFingerprintBits) - 1;
constexpr uint32_t kLineBitsMin = 6;
constexpr uint32_t kWidthMin = 40;
constexpr uint32_t kWidthMax = 64;
constexpr uint32_t kWidthStep = 4;
constexpr uint32_t kOffsetMax = 31;
// A slot's bits are read as a word that may begin in the line's last byte.
constexpr size_t kPadding = 8;

constexpr uint32_t capacity_of(uint32_t width) { return (8 * width - 65) / kFingerprintBits; }
static_assert(capacity_of(kWidthMax) + kOffsetMax + 1 <= 63);

constexpr uint64_t low_bits(uint32_t count) { return (uint64_t{1} << count) - 1; }

/// std::popcount without the library call that it is on plain x86-64 (Warren, 5-1).
constexpr uint32_t ones_in(uint64_t x) {
  x -= x >> 1 & 0x5555555555555555;
  x = (x & 0x3333333333333333) + (x >> 2 & 0x3333333333333333);
  x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0f;
  return static_cast<uint32_t>(x * 0x0101010101010101 >> 56);
}

/// The tags of a line, see the top.
class Tags {
 public:
  explicit Tags(uint64_t bits) : bits_(bits == 0 ? 1 : bits) {}
  uint64_t bits() const { return bits_; }
  uint32_t size() const { return length() - steps(); }
  /// Which band slot `index` is in, counted from the shard's first.
  uint32_t offset(uint32_t index) const {
    uint64_t slots = ~bits_;
    for (uint32_t i = 0; i < index; ++i) slots &= slots - 1;
    return static_cast<uint32_t>(std::countr_zero(slots)) - index;
  }
  void append(uint32_t offset) {
    CM_DEBUG_ASSERT(offset >= steps() && offset <= kOffsetMax);
    const uint32_t end = length();
    const uint32_t more = offset - steps();
    bits_ ^= uint64_t{1} << end;
    bits_ |= low_bits(more) << end | uint64_t{1} << (end + more + 1);
  }
  /// Removes the slots of bands before `offset` and says how many there were.
  uint32_t drop_before(uint32_t offset) {
    if (steps() < offset) {
      const uint32_t all = size();
      bits_ = 1;
      return all;
    }
    uint64_t rest = bits_;
    for (uint32_t i = 1; i < offset; ++i) rest &= rest - 1;
    const auto end = static_cast<uint32_t>(std::countr_zero(rest)) + 1;
    bits_ = (bits_ >> end) << offset | low_bits(offset);
    return end - offset;
  }
  /// Whether drop_before(offset) would surely find none.
  bool begins_at(uint32_t offset) const { return (~bits_ & low_bits(offset)) == 0; }

 private:
  uint32_t length() const { return static_cast<uint32_t>(std::bit_width(bits_)) - 1; }
  uint32_t steps() const { return ones_in(bits_) - 1; }
  uint64_t bits_;
};

/// A line in the memory of a shard.
class Line {
 public:
  Line(uint8_t* bytes, uint32_t width, uint32_t capacity)
      : bytes_(bytes), width_(width), capacity_(capacity) {}

  Tags tags() const {
    uint64_t bits;
    std::memcpy(&bits, bytes_, sizeof(bits));
    return Tags(bits);
  }
  void set_tags(Tags tags) {
    const uint64_t bits = tags.bits();
    std::memcpy(bytes_, &bits, sizeof(bits));
  }
  uint32_t fingerprint(uint32_t index) const {
    const uint32_t bit = 6 * index;
    const uint32_t high = load16(8 + capacity_ + bit / 8) >> (bit % 8) & 0x3f;
    return bytes_[8 + index] | high << 8;
  }
  void set_fingerprint(uint32_t index, uint32_t fingerprint) {
    bytes_[8 + index] = static_cast<uint8_t>(fingerprint);
    const uint32_t bit = 6 * index;
    const uint32_t at = 8 + capacity_ + bit / 8;
    const uint32_t others = load16(at) & ~(0x3fu << (bit % 8));
    const auto word = static_cast<uint16_t>(others | (fingerprint >> 8) << (bit % 8));
    std::memcpy(bytes_ + at, &word, sizeof(word));
  }
  bool spilled() const { return (bytes_[width_ - 1] & 0x80) != 0; }
  void set_spilled() { bytes_[width_ - 1] |= 0x80; }

  void append(uint32_t fingerprint, uint32_t offset) {
    auto changed = tags();
    set_fingerprint(changed.size(), fingerprint);
    changed.append(offset);
    set_tags(changed);
  }

  /// Moves all fingerprints `count` slots to the front.
  void shift_down(uint32_t count) {
    std::memmove(bytes_ + 8, bytes_ + 8 + count, capacity_ - count);
    uint64_t words[5] = {};
    const size_t at = 8 + capacity_;
    const uint8_t last = bytes_[width_ - 1];
    std::memcpy(words, bytes_ + at, width_ - at);
    const uint32_t bits = 6 * count;
    uint64_t* from = words + bits / 64;
    const uint32_t rest = bits % 64;
    for (size_t i = 0; i < 3; ++i, ++from) {
      // Two shifts: by 64 at once would be undefined.
      if (from < words + 4) words[i] = from[0] >> rest | from[1] << 1 << (63 - rest);
    }
    std::memcpy(bytes_ + at, words, width_ - at);
    bytes_[width_ - 1] = static_cast<uint8_t>((bytes_[width_ - 1] & 0x7f) | (last & 0x80));
  }

  /// Calls visit(index) for each slot whose fingerprint has this low byte.
  template <typename Visit>
  void for_each_with(uint8_t low_byte, const Visit& visit) const {
    constexpr uint64_t kOnes = 0x0101010101010101;
    constexpr uint64_t kLow7 = 0x7f7f7f7f7f7f7f7f;
    for (uint32_t first = 0; first < capacity_; first += 8) {
      uint64_t word;
      std::memcpy(&word, bytes_ + 8 + first, sizeof(word));
      word ^= kOnes * low_byte;
      // The top bit of each byte that is zero now (Warren, "Hacker's Delight", 6-1).
      uint64_t equal = ~(((word & kLow7) + kLow7) | word | kLow7);
      for (; equal != 0; equal &= equal - 1) {
        const uint32_t index = first + static_cast<uint32_t>(std::countr_zero(equal)) / 8;
        if (index < tags().size()) visit(index);
      }
    }
  }

 private:
  uint32_t load16(uint32_t at) const {
    uint16_t word;
    std::memcpy(&word, bytes_ + at, sizeof(word));
    return word;
  }
  uint8_t* bytes_;
  uint32_t width_;
  uint32_t capacity_;
};

template <typename Shard>
Line line_of(const Shard& shard, uint32_t line) {
  return Line(shard.bytes.get() + size_t{line} * shard.width, shard.width, shard.capacity);
}

uint64_t bytes_of(uint32_t line_bits, uint32_t width) {
  return (uint64_t{width} << line_bits) + kPadding;
}

/// The narrowest line in which few overflow, when the ids of a line were just
/// split in two at random: two standard deviations, sqrt(mean / 2), above the mean.
uint32_t width_for(uint64_t used, uint32_t line_bits) {
  const uint64_t mean = (used >> line_bits) + 1;
  uint32_t width = kWidthMin;
  while (width < kWidthMax) {
    const uint64_t capacity = capacity_of(width);
    if (capacity > mean && (capacity - mean) * (capacity - mean) >= 2 * mean) break;
    width += kWidthStep;
  }
  return width;
}

}  // namespace

struct IdTable::Slot {
  uint32_t fingerprint;
  int64_t band;
};

struct IdTable::Address {
  uint32_t first;
  uint32_t second;
  uint32_t fingerprint;
};

IdTable::IdTable(int64_t first_band) : forgotten_before_(first_band), shards_(kShards) {
  for (auto& shard : shards_) shard.first_band = first_band;
}

IdTable::Address IdTable::address(const Shard& shard, const Hash128& id) {
  const auto first = static_cast<uint32_t>(id.low & low_bits(shard.line_bits));
  // 1 to 63, so that the two lines differ.
  const auto step = static_cast<uint32_t>(1 + ((id.high >> 8 & 0xffff) * 63 >> 16));
  const auto fingerprint = static_cast<uint32_t>(id.low >> shard.line_bits & kFingerprintMask);
  return {first, first ^ step, fingerprint};
}

namespace {
size_t shard_of(const Hash128& id) { return id.high >> 32 & (kShards - 1); }
}  // namespace

void IdTable::prefetch(const Hash128& id) const {
  const auto& shard = shards_[shard_of(id)];
  if (!shard.bytes) return;
  const auto where = address(shard, id);
  for (const uint32_t line : {where.first, where.second}) {
    const uint8_t* begin = shard.bytes.get() + size_t{line} * shard.width;
    __builtin_prefetch(begin, 1);
    __builtin_prefetch(begin + shard.width - 1, 1);
  }
}

/// A fingerprint has lost at most a bit for each doubling since its band began.
size_t IdTable::lost_bits(const Shard& shard, int64_t band) {
  const auto& doublings = shard.doublings;
  const auto since = std::lower_bound(doublings.begin(), doublings.end(), band);
  return static_cast<size_t>(doublings.end() - since);
}

/// Whether a slot may hold the wanted fingerprint, as far as its bits are known.
/// Lost bits are zero, so all from the lowest difference on must be.
bool IdTable::matches(const Shard& shard, uint32_t found, uint32_t wanted, int64_t band) {
  const uint32_t difference = found ^ wanted;
  if (difference == 0) return true;
  const auto lowest = static_cast<uint32_t>(std::countr_zero(difference));
  return found >> lowest == 0 && lowest + lost_bits(shard, band) >= kFingerprintBits;
}

uint32_t IdTable::match_line(const Shard& shard, uint32_t index, uint32_t wanted) {
  const Line line = line_of(shard, index);
  uint32_t bands = 0;
  const auto tags = line.tags();
  const auto look = [&](uint32_t slot) {
    const uint32_t offset = tags.offset(slot);
    if (matches(shard, line.fingerprint(slot), wanted, shard.first_band + offset)) {
      bands |= 1u << offset;
    }
  };
  line.for_each_with(static_cast<uint8_t>(wanted), look);
  // After more than 6 doublings a slot's low byte may have lost bits as well.
  for (size_t lost = 7; lost <= shard.doublings.size() && lost <= kFingerprintBits; ++lost) {
    const auto known = static_cast<uint32_t>(low_bits(kFingerprintBits - static_cast<uint32_t>(lost)));
    if ((wanted & known) != (wanted & (2 * known + 1))) {
      line.for_each_with(static_cast<uint8_t>(wanted & known), look);
    }
  }
  if (!line.spilled()) return bands;
  auto each = std::lower_bound(shard.spills.begin(), shard.spills.end(), Spill{index, 0, 0});
  for (; each != shard.spills.end() && each->line == index; ++each) {
    if (matches(shard, each->fingerprint, wanted, shard.first_band + each->offset)) {
      bands |= 1u << each->offset;
    }
  }
  return bands;
}

IdTable::Match IdTable::find(const Hash128& id) const {
  const auto& shard = shards_[shard_of(id)];
  if (!shard.bytes) return {shard.first_band, 0};
  const auto where = address(shard, id);
  return {shard.first_band, match_line(shard, where.first, where.fingerprint) |
                                match_line(shard, where.second, where.fingerprint)};
}

void IdTable::insert(const Hash128& id, int64_t band) {
  auto& shard = shards_[shard_of(id)];
  CM_ASSERT(band >= shard.first_band);
  const int64_t first_kept = std::min(band, std::max(forgotten_before_, band - kBandsKept + 1));
  if (!shard.bytes) {
    const int64_t first = std::max(shard.first_band, first_kept);
    shard = empty_shard(kLineBitsMin, kWidthMin, first);
  } else if (band - shard.first_band > int64_t{kOffsetMax}) {
    rebuild(shard, shard.line_bits, shard.width, first_kept);
  }
  if (shard.spills.size() > shard.spills_max) make_room(shard, band);
  const auto where = address(shard, id);
  const uint32_t in_first = clean(shard, where.first);
  const uint32_t in_second = clean(shard, where.second);
  const uint32_t chosen = in_second < in_first ? where.second : where.first;
  const Slot slot{where.fingerprint, band};
  ++shard.used;
  if (std::min(in_first, in_second) == shard.capacity) {
    spill(shard, chosen, slot);
  } else {
    line_of(shard, chosen).append(where.fingerprint,
                                  static_cast<uint32_t>(band - shard.first_band));
  }
}

void IdTable::forget_before(int64_t band) {
  forgotten_before_ = std::max(forgotten_before_, band);
}

uint32_t IdTable::clean(Shard& shard, uint32_t index) const {
  Line line = line_of(shard, index);
  auto tags = line.tags();
  const int64_t forgotten = std::min<int64_t>(forgotten_before_ - shard.first_band, kOffsetMax);
  if (forgotten <= 0 || tags.begins_at(static_cast<uint32_t>(forgotten))) return tags.size();
  const uint32_t dropped = tags.drop_before(static_cast<uint32_t>(forgotten));
  if (dropped == 0) return tags.size();
  line.shift_down(dropped);
  line.set_tags(tags);
  shard.used -= dropped;
  return tags.size();
}

void IdTable::spill(Shard& shard, uint32_t line, Slot slot) {
  line_of(shard, line).set_spilled();
  const Spill spilled{line, static_cast<uint16_t>(slot.fingerprint),
                      static_cast<uint8_t>(slot.band - shard.first_band)};
  shard.spills.insert(std::upper_bound(shard.spills.begin(), shard.spills.end(), spilled),
                      spilled);
}

IdTable::Shard IdTable::empty_shard(uint32_t line_bits, uint32_t width, int64_t first_band) {
  Shard shard;
  shard.bytes.reset(static_cast<uint8_t*>(std::calloc(bytes_of(line_bits, width), 1)));
  CM_ASSERT(shard.bytes != nullptr);
  shard.width = width;
  shard.capacity = capacity_of(width);
  shard.line_bits = line_bits;
  shard.first_band = first_band;
  shard.spills_max = size_t{1} << (line_bits - kLineBitsMin);
  return shard;
}

/// What is filed in a line from band `live_from` on, its spills included, oldest band first.
void IdTable::read_line(const Shard& shard, uint32_t index, int64_t live_from,
                        std::vector<Slot>& slots) {
  slots.clear();
  const Line line = line_of(shard, index);
  const auto tags = line.tags();
  uint64_t rest = tags.bits();
  int64_t band = shard.first_band;
  for (uint32_t i = 0; i < tags.size(); rest >>= 1) {
    if ((rest & 1) != 0) {
      ++band;
      continue;
    }
    if (band >= live_from) slots.push_back({line.fingerprint(i), band});
    ++i;
  }
  if (!line.spilled()) return;
  auto each = std::lower_bound(shard.spills.begin(), shard.spills.end(), Spill{index, 0, 0});
  for (; each != shard.spills.end() && each->line == index; ++each) {
    const int64_t spilled = shard.first_band + each->offset;
    if (spilled >= live_from) slots.push_back({each->fingerprint, spilled});
  }
  std::stable_sort(slots.begin(), slots.end(),
                   [](const Slot& a, const Slot& b) { return a.band < b.band; });
}

/// Fills an empty line and spills the rest.
void IdTable::write_line(Shard& shard, uint32_t index, const std::vector<Slot>& slots) {
  Line line = line_of(shard, index);
  auto tags = line.tags();
  for (uint32_t i = 0; i < slots.size(); ++i) {
    if (i < shard.capacity) {
      line.set_fingerprint(i, slots[i].fingerprint);
      tags.append(static_cast<uint32_t>(slots[i].band - shard.first_band));
    } else {
      spill(shard, index, slots[i]);
    }
  }
  line.set_tags(tags);
  shard.used += slots.size();
}

void IdTable::rebuild(Shard& shard, uint32_t line_bits, uint32_t width,
                      int64_t first_band) const {
  CM_ASSERT(line_bits == shard.line_bits || line_bits == shard.line_bits + 1);
  const bool doubles = line_bits > shard.line_bits;
  const int64_t live_from = std::max(first_band, forgotten_before_);
  Shard next = empty_shard(line_bits, width, first_band);
  std::vector<Slot> slots;
  std::vector<Slot> halves[2];
  for (uint32_t line = 0; line >> shard.line_bits == 0; ++line) {
    read_line(shard, line, live_from, slots);
    if (!doubles) {
      write_line(next, line, slots);
      continue;
    }
    split(shard, slots, halves);
    write_line(next, line, halves[0]);
    write_line(next, line | uint32_t{1} << shard.line_bits, halves[1]);
  }
  for (const int64_t band : shard.doublings) {
    if (band >= live_from) next.doublings.push_back(band);
  }
  shard = std::move(next);
}

/// Sends each slot of a line to one of two by its lowest bit, which it loses.
void IdTable::split(const Shard& shard, const std::vector<Slot>& slots,
                    std::vector<Slot> (&halves)[2]) {
  for (auto& half : halves) half.clear();
  for (const auto& [fingerprint, band] : slots) {
    halves[fingerprint & 1].push_back({fingerprint >> 1, band});
    // Perhaps not even that bit is known any more: then it may belong to either.
    if (fingerprint == 0 && lost_bits(shard, band) >= kFingerprintBits) {
      halves[1].push_back({0, band});
    }
  }
}

void IdTable::make_room(Shard& shard, int64_t band) const {
  rebuild(shard, shard.line_bits, shard.width, shard.first_band);
  const uint64_t slots = uint64_t{shard.capacity} << shard.line_bits;
  if (shard.spills.size() > shard.spills_max / 2 && shard.used * 2 > slots) {
    if (shard.width < kWidthMax) {
      rebuild(shard, shard.line_bits, shard.width + kWidthStep, shard.first_band);
    } else {
      const uint32_t line_bits = shard.line_bits + 1;
      rebuild(shard, line_bits, width_for(shard.used, line_bits), shard.first_band);
      shard.doublings.push_back(band);
    }
  }
  // Ids that are no good hashes could spill at any size: then wait for twice as many.
  shard.spills_max += 2 * shard.spills.size();
}

uint64_t IdTable::memory_bytes() const {
  uint64_t bytes = shards_.capacity() * sizeof(Shard);
  for (const auto& shard : shards_) {
    if (shard.bytes) bytes += bytes_of(shard.line_bits, shard.width);
    bytes += shard.spills.capacity() * sizeof(Spill);
    bytes += shard.doublings.capacity() * sizeof(int64_t);
  }
  return bytes;
}

uint64_t IdTable::slots() const {
  uint64_t slots = 0;
  for (const auto& shard : shards_) {
    if (shard.bytes) slots += uint64_t{shard.capacity} << shard.line_bits;
  }
  return slots;
}

uint64_t IdTable::used() const {
  uint64_t used = 0;
  for (const auto& shard : shards_) used += shard.used;
  return used;
}

}  // namespace clickmill::stream
