#include "sketch/hll.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/bytes.h"
#include "sketch/estimate.h"
#include "sketch/version.h"

namespace clickmill::sketch {

static_assert(Hll::kPrecision == kIndexBits);

Hll::Hll(const Hll& other)
    : sparse_(other.sparse_),
      dense_(other.dense_ ? std::make_unique<Registers>(*other.dense_) : nullptr) {}

Hll& Hll::operator=(const Hll& other) {
  if (this != &other) *this = Hll(other);
  return *this;
}

void Hll::add(uint64_t hash) {
  if (dense_) {
    uint8_t& place = (*dense_)[hash >> (64 - kIndexBits)];
    place = std::max(place, rank_of_hash(hash));
    return;
  }
  const Entry entry = entry_of_hash(hash);
  // No allocation is smaller than this. Doubling from here ends at 1,024 entries
  // exactly, which are as large as the registers.
  if (sparse_.empty()) sparse_.reserve(4);
  const auto at = std::lower_bound(sparse_.begin(), sparse_.end(), prefix_of(entry) << kRankBits);
  if (at != sparse_.end() && prefix_of(*at) == prefix_of(entry)) {
    *at = std::max(*at, entry);
    return;
  }
  sparse_.insert(at, entry);
  // The number of entries depends on the set only and never falls, so every
  // order of adds and merges turns dense for the same sets.
  if (sparse_.size() > kEntriesMax) turn_dense();
}

void Hll::merge(const Hll& other) {
  if (&other == this) return;
  if (other.dense_) {
    merge_dense(*other.dense_);
  } else {
    merge_sparse(other.sparse_);
  }
}

Result<bool> is_dense(std::string_view bytes) {
  const uint8_t head = ByteCursor(bytes).u8();
  if (head >> 4 != kVersion) return Error(Errc::corrupt, "sketch: unknown version");
  return (head & 0x0f) == 0;
}

Status Hll::merge_serialized(std::string_view bytes) {
  if (bytes.empty()) return {};
  if (TRY(is_dense(bytes))) {
    Registers registers;
    TRY(decode_dense(bytes, registers));
    merge_dense(registers);
  } else {
    DecodedEntries decoded;
    TRY(decode_sparse(bytes, decoded));
    merge_sparse(decoded.span());
  }
  return {};
}

void Hll::merge_sparse(std::span<const Entry> entries) {
  if (dense_) {
    for (const Entry entry : entries) {
      uint8_t& place = (*dense_)[register_of(entry)];
      place = std::max(place, rank_of(entry));
    }
    return;
  }
  std::array<Entry, 2 * kEntriesMax> united;
  const size_t count = unite(sparse_, entries, united.data());
  sparse_.assign(united.data(), united.data() + count);
  if (count > kEntriesMax) turn_dense();
}

void Hll::merge_dense(const Registers& registers) {
  if (!dense_) turn_dense();
  raise(*dense_, registers);
}

void Hll::turn_dense() {
  const std::vector<Entry> entries = std::exchange(sparse_, {});
  dense_ = std::make_unique<Registers>();
  merge_sparse(entries);
}

bool Hll::empty() const { return !dense_ && sparse_.empty(); }

uint64_t Hll::estimate() const {
  return dense_ ? estimate_dense(*dense_) : estimate_sparse(sparse_.size());
}

std::string Hll::serialize() const {
  if (empty()) return {};
  return dense_ ? encode_dense(*dense_) : encode_sparse(sparse_);
}

Result<Hll> Hll::parse(std::string_view bytes) {
  Hll sketch;
  TRY(sketch.merge_serialized(bytes));
  return sketch;
}

size_t Hll::memory_bytes() const {
  return sparse_.capacity() * sizeof(Entry) + (dense_ ? sizeof(Registers) : 0);
}

bool Hll::equals(const Hll& other) const {
  if (!dense_ || !other.dense_) return !dense_ == !other.dense_ && sparse_ == other.sparse_;
  return *dense_ == *other.dense_;
}

}  // namespace clickmill::sketch
