// Lines of slots: top of id_line.h.
//
// With 2^b lines, id.low gives the first candidate line (its low b bits) and the
// fingerprint (the 14 bits above). The second line differs from the first in
// the low 6 bits only, by bits of id.high. So whichever of the two a fingerprint
// is in, its lowest bit says where it goes when the lines double; the bit that
// it would need at its top is unknown then and stands as 0.
//
// A shard outside of memory (encode_shard), little-endian:
//
//   u32 width | u32 line bits | i64 first band | u64 spills max |
//   u64 spills | { u32 line, u16 fingerprint, u8 band counted from the first }, sorted |
//   u64 doublings | { i64 band }, sorted | width << (line bits) bytes of lines
//
// A shard that is still empty has width 0 and no lines.

#include "dedup/id_table.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/huge_pages.h"
#include "dedup/id_line.h"

namespace clickmill::dedup {
namespace {

constexpr uint32_t kLineBitsMin = 6;
constexpr uint32_t kLineBitsMax = 30;
// A slot's bits are read as a word that may begin in the line's last byte.
constexpr size_t kPadding = 8;
constexpr size_t kPage = 4096;

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
    const auto known =
        static_cast<uint32_t>(low_bits(kFingerprintBits - static_cast<uint32_t>(lost)));
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
    line_of(shard, chosen)
        .append(where.fingerprint, static_cast<uint32_t>(band - shard.first_band));
  }
}

void IdTable::forget_before(int64_t band) { forgotten_before_ = std::max(forgotten_before_, band); }

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
  shard.spills.insert(std::upper_bound(shard.spills.begin(), shard.spills.end(), spilled), spilled);
}

IdTable::Shard IdTable::empty_shard(uint32_t line_bits, uint32_t width, int64_t first_band) {
  Shard shard;
  const uint64_t bytes = bytes_of(line_bits, width);
  // So that the two lines of an id, which are among 64 neighbours, mostly share a page.
  shard.bytes.reset(
      static_cast<uint8_t*>(std::aligned_alloc(kPage, (bytes + kPage - 1) / kPage * kPage)));
  CM_ASSERT(shard.bytes != nullptr);
  want_huge_pages(shard.bytes.get(), bytes);
  std::memset(shard.bytes.get(), 0, bytes);
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

/// Copies a line as it is if all of it stays in it, as of nearly all when lines
/// become wider. Six rebuilds of seven are of that kind, and this is a tenth of the work.
bool IdTable::copy_line(const Shard& shard, Shard& next, uint32_t index, int64_t live_from) {
  const Line line = line_of(shard, index);
  const int64_t forgotten = std::max<int64_t>(live_from - shard.first_band, 0);
  if (line.spilled() || next.first_band != shard.first_band || forgotten > int64_t{kOffsetMax} ||
      !line.tags().begins_at(static_cast<uint32_t>(forgotten))) {
    return false;
  }
  line_of(next, index).take(line);
  next.used += line.tags().size();
  return true;
}

void IdTable::rebuild(Shard& shard, uint32_t line_bits, uint32_t width, int64_t first_band) const {
  CM_ASSERT(line_bits == shard.line_bits || line_bits == shard.line_bits + 1);
  const bool doubles = line_bits > shard.line_bits;
  const int64_t live_from = std::max(first_band, forgotten_before_);
  Shard next = empty_shard(line_bits, width, first_band);
  std::vector<Slot> slots;
  std::vector<Slot> halves[2];
  for (uint32_t line = 0; line >> shard.line_bits == 0; ++line) {
    if (!doubles && copy_line(shard, next, line, live_from)) continue;
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
  // Perhaps what is forgotten makes room enough. While nothing is, as in the
  // first day, this would double the work of growing.
  if (forgotten_before_ > shard.first_band) {
    rebuild(shard, shard.line_bits, shard.width, shard.first_band);
  }
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

std::optional<size_t> IdTable::bluntest_shard() const {
  const auto lost = [this](const Shard& shard) {
    return lost_bits(shard, std::max(shard.first_band, forgotten_before_));
  };
  const auto most =
      std::max_element(shards_.begin(), shards_.end(),
                       [&](const Shard& a, const Shard& b) { return lost(a) < lost(b); });
  if (lost(*most) == 0) return std::nullopt;
  return static_cast<size_t>(most - shards_.begin());
}

IdTable IdTable::empty_like(size_t index) const {
  const Shard& shard = shards_[index];
  const int64_t first_band = std::max(shard.first_band, forgotten_before_);
  IdTable table(first_band);
  table.shards_[index] = empty_shard(shard.line_bits, shard.width, first_band);
  return table;
}

void IdTable::take_shard(size_t index, IdTable&& from) {
  shards_[index] = std::move(from.shards_[index]);
}

void IdTable::encode_shard(size_t index, std::string& out) const {
  const auto& shard = shards_[index];
  ByteWriter writer(out);
  writer.u32(shard.width);
  writer.u32(shard.line_bits);
  writer.i64(shard.first_band);
  writer.u64(shard.spills_max);
  writer.u64(shard.spills.size());
  for (const auto& spill : shard.spills) {
    writer.u32(spill.line);
    writer.u16(spill.fingerprint);
    writer.u8(spill.offset);
  }
  writer.u64(shard.doublings.size());
  for (const int64_t band : shard.doublings) writer.i64(band);
  if (!shard.bytes) return;
  const char* lines = reinterpret_cast<const char*>(shard.bytes.get());
  writer.raw({lines, size_t{shard.width} << shard.line_bits});
}

bool IdTable::decode_shard(size_t index, std::string_view bytes, int64_t newest_band) {
  ByteCursor cursor(bytes);
  const uint32_t width = cursor.u32();
  const uint32_t line_bits = cursor.u32();
  const int64_t first_band = cursor.i64();
  if (!cursor.ok() || first_band > newest_band) return false;
  if (width == 0) {
    shards_[index] = {};
    shards_[index].first_band = first_band;
    return true;
  }
  if (width < kWidthMin || width > kWidthMax || width % kWidthStep != 0) return false;
  if (line_bits < kLineBitsMin || line_bits > kLineBitsMax) return false;
  const size_t line_bytes = size_t{width} << line_bits;
  // Before memory is taken for them.
  if (cursor.rest().size() < line_bytes) return false;
  Shard shard = empty_shard(line_bits, width, first_band);
  shard.spills_max = cursor.u64();
  for (uint64_t left = cursor.u64(); left > 0 && cursor.ok(); --left) {
    const uint32_t line = cursor.u32();
    const uint16_t fingerprint = cursor.u16();
    shard.spills.push_back({line, fingerprint, cursor.u8()});
  }
  for (uint64_t left = cursor.u64(); left > 0 && cursor.ok(); --left) {
    shard.doublings.push_back(cursor.i64());
  }
  const auto lines = cursor.raw(line_bytes);
  if (!cursor.done()) return false;
  std::memcpy(shard.bytes.get(), lines.data(), lines.size());
  if (!check_lines(shard, newest_band)) return false;
  shards_[index] = std::move(shard);
  return true;
}

/// Whether everything in the shard is in range and in order; counts what is filed.
bool IdTable::check_lines(Shard& shard, int64_t newest_band) {
  const auto last =
      static_cast<uint32_t>(std::min<int64_t>(newest_band - shard.first_band, int64_t{kOffsetMax}));
  const auto in_range = [&](const Spill& spill) {
    return spill.line >> shard.line_bits == 0 && spill.fingerprint <= kFingerprintMask &&
           spill.offset <= last;
  };
  if (!std::all_of(shard.spills.begin(), shard.spills.end(), in_range) ||
      !std::is_sorted(shard.spills.begin(), shard.spills.end()) ||
      !std::is_sorted(shard.doublings.begin(), shard.doublings.end())) {
    return false;
  }
  shard.used = shard.spills.size();
  for (uint32_t line = 0; line >> shard.line_bits == 0; ++line) {
    const auto tags = line_of(shard, line).tags();
    if (tags.size() > shard.capacity || tags.steps() > last) return false;
    shard.used += tags.size();
  }
  return true;
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

}  // namespace clickmill::dedup
