// In the space of a log hour, for each checkpoint that had ids of that hour:
//
//   key     0   4  slot, big-endian
//           4   1  bits b, 0 to 16: this checkpoint's ids stand in 2^b buckets
//           5   2  bucket, big-endian: the top b bits of id.high
//           7   4  sequence of the checkpoint, big-endian, unique in the hour
//   value   16·n   ids: low, high, little-endian, in the order of filing
//
// b grows with the number of ids so that a value has about 16 of them: few keys
// to write, and to look for one id the bucket's values of the hour are read in
// one short scan for each b in use (hours mostly have one or two). RocksDB
// checks the bytes; a key or value of another length is corrupt.

#include "dedup/stored_ids.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <utility>

#include "base/bytes.h"

namespace clickmill::dedup {
namespace {

constexpr size_t kKeyBytes = 11;
constexpr size_t kIdBytes = 16;
constexpr size_t kIdsPerValue = 16;
constexpr unsigned kBitsMax = 16;
static_assert(sizeof(Hash128) == kIdBytes && std::endian::native == std::endian::little,
              "an id is written as it lies in memory");

unsigned bits_for(size_t ids) {
  return std::min(static_cast<unsigned>(std::bit_width(ids / kIdsPerValue)), kBitsMax);
}

uint64_t bucket_of(const Hash128& id, unsigned bits) {
  return bits == 0 ? 0 : id.high >> (64 - bits);
}

/// Above every key that begins with `prefix`.
std::string end_of(std::string prefix) { return prefix.append(kKeyBytes, '\xff'); }

Error corrupt(LogHour hour) {
  return Error(Errc::corrupt,
               "state store: " + state::ids_space(hour).name + " has a malformed entry");
}

/// Calls visit(id) for the packed ids until it answers false. False: not a whole number of ids.
template <typename Visit>
bool unpack(std::string_view value, const Visit& visit) {
  if (value.size() % kIdBytes != 0) return false;
  ByteCursor cursor(value);
  while (!cursor.empty()) {
    Hash128 id;
    id.low = cursor.u64();
    id.high = cursor.u64();
    if (!visit(id)) return true;
  }
  return true;
}

}  // namespace

StoredIds::StoredIds(state::Slot slot, state::Store& store) : store_(&store) {
  append_key_u32(partition_key_, slot.value());
}

std::string StoredIds::prefix(unsigned bits) const {
  return partition_key_ + static_cast<char>(bits);
}

std::string StoredIds::prefix(unsigned bits, uint64_t bucket) const {
  std::string key = prefix(bits);
  key.push_back(static_cast<char>(bucket >> 8));
  key.push_back(static_cast<char>(bucket));
  return key;
}

Status StoredIds::open() {
  for (const auto& space : store_->spaces()) {
    if (const auto hour = state::hour_of_ids_space(space)) TRY(learn(*hour));
  }
  return {};
}

/// Goes from the first key of one number of bits to the first of the next in use.
Status StoredIds::learn(LogHour hour) {
  const auto space = state::ids_space(hour);
  Hour found;
  for (unsigned bits = 0; bits <= kBitsMax; ++bits) {
    std::string first;
    TRY(store_->scan(space, prefix(bits), end_of(partition_key_),
                     [&](std::string_view key, std::string_view) {
                       first = key;
                       return false;
                     }));
    if (first.empty()) break;
    if (first.size() != kKeyBytes) return corrupt(hour);
    bits = static_cast<uint8_t>(first[4]);
    if (bits > kBitsMax) return corrupt(hour);
    found.bucketings |= 1u << bits;
  }
  if (found.bucketings != 0) hours_.emplace(hour, found);
  return {};
}

Result<bool> StoredIds::contains(LogHour hour, const Hash128& id) {
  const auto known = hours_.find(hour);
  if (known == hours_.end()) return false;
  bool found = false;
  bool whole = true;
  const auto look = [&](std::string_view, std::string_view value) {
    whole = unpack(value, [&](const Hash128& each) { return !(found = each == id); });
    return whole && !found;
  };
  const auto space = state::ids_space(hour);
  for (unsigned bits = 0; bits <= kBitsMax && !found; ++bits) {
    if ((known->second.bucketings >> bits & 1) == 0) continue;
    const auto first = prefix(bits, bucket_of(id, bits));
    TRY(store_->scan(space, first, end_of(first), look));
    if (!whole) return corrupt(hour);
  }
  return found;
}

Status StoredIds::for_each(LogHour hour, const Visit& visit) {
  bool whole = true;
  std::vector<Hash128> ids;
  const auto read = [&](std::string_view key, std::string_view value) {
    if (key.size() != kKeyBytes) return whole = false;
    const auto sequence = static_cast<uint32_t>(read_key_u64(key.substr(3)));
    next_sequence_ = std::max(next_sequence_, sequence + 1);
    ids.clear();
    whole = unpack(value, [&](const Hash128& id) {
      ids.push_back(id);
      return true;
    });
    if (whole) visit(sequence, ids);
    return whole;
  };
  TRY(store_->scan(state::ids_space(hour), partition_key_, end_of(partition_key_), read));
  if (!whole) return corrupt(hour);
  return {};
}

Result<bool> StoredIds::read_some(HashPrefix share, uint32_t sequence_end, size_t ids_most,
                                  ReadPosition& place, const VisitHour& visit) {
  size_t read = 0;
  for (auto hour = hours_.lower_bound(place.hour); hour != hours_.end(); ++hour) {
    if (hour->first != place.hour) place = {hour->first};
    for (; place.bits <= kBitsMax; ++place.bits, place.key.clear()) {
      if ((hour->second.bucketings >> place.bits & 1) == 0) continue;
      if (!TRY(read_buckets(share, sequence_end, ids_most, read, place, visit))) return false;
    }
  }
  return true;
}

/// Those of one hour and one number of bits. False: there are more, from `place` on.
Result<bool> StoredIds::read_buckets(HashPrefix share, uint32_t sequence_end, size_t ids_most,
                                     size_t& read, ReadPosition& place, const VisitHour& visit) {
  // A share is some buckets, or a part of one.
  const unsigned bits = place.bits;
  const bool part = bits < share.bits;
  const uint64_t first =
      part ? share.value >> (share.bits - bits) : share.value << (bits - share.bits);
  const uint64_t last = part ? first : ((share.value + 1) << (bits - share.bits)) - 1;
  bool whole = true;
  bool done = true;
  std::vector<Hash128> ids;
  const auto take = [&](std::string_view key, std::string_view value) {
    if (read >= ids_most) {
      place.key = key;
      return done = false;
    }
    if (key.size() != kKeyBytes) return whole = false;
    read += value.size() / kIdBytes;
    if (static_cast<uint32_t>(read_key_u64(key.substr(3))) >= sequence_end) return true;
    ids.clear();
    whole = unpack(value, [&](const Hash128& id) {
      if (bucket_of(id, share.bits) == share.value) ids.push_back(id);
      return true;
    });
    if (whole) visit(place.hour, ids);
    return whole;
  };
  const auto from = place.key.empty() ? prefix(bits, first) : place.key;
  TRY(store_->scan(state::ids_space(place.hour), from, end_of(prefix(bits, last)), take));
  if (!whole) return corrupt(place.hour);
  return done;
}

void StoredIds::write(state::Batch& batch, LogHour hour, std::span<const Hash128> ids) {
  if (ids.empty()) return;
  const unsigned bits = bits_for(ids.size());
  hours_[hour].bucketings |= 1u << bits;
  // Sorted by bucket, in the order of filing within each, so that a value is copied once.
  std::vector<uint32_t> ends(size_t{1} << bits);
  for (const auto& id : ids) ++ends[bucket_of(id, bits)];
  std::exclusive_scan(ends.begin(), ends.end(), ends.begin(), 0U);
  std::vector<Hash128> sorted(ids.size());
  for (const auto& id : ids) sorted[ends[bucket_of(id, bits)]++] = id;
  const auto space = state::ids_space(hour);
  uint32_t begin = 0;
  for (size_t bucket = 0; bucket < ends.size(); ++bucket) {
    const uint32_t end = ends[bucket];
    if (begin == end) continue;
    auto key = prefix(bits, bucket);
    append_key_u32(key, next_sequence_);
    batch.put(space, std::move(key),
              std::string(reinterpret_cast<const char*>(&sorted[begin]), (end - begin) * kIdBytes));
    begin = end;
  }
  ++next_sequence_;
}

void StoredIds::remove_before(state::Batch& batch, LogHour hour) {
  removed_.clear();
  while (!hours_.empty() && hours_.begin()->first < hour) {
    batch.remove_range(state::ids_space(hours_.begin()->first), partition_key_,
                       end_of(partition_key_));
    removed_.insert(hours_.extract(hours_.begin()));
  }
}

}  // namespace clickmill::dedup
