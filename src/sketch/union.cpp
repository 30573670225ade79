#include "sketch/union.h"

#include <algorithm>
#include <bit>
#include <span>

#include "sketch/estimate.h"

namespace clickmill::sketch {

void Union::clear() {
  prefixes_.fill(0);
  registers_.fill(0);
  size_ = 0;
  dense_ = false;
}

void Union::add(std::span<const Entry> entries) {
  for (const Entry entry : entries) {
    const uint32_t prefix = prefix_of(entry);
    uint64_t& word = prefixes_[prefix / 64];
    const uint64_t bit = uint64_t{1} << (prefix % 64);
    size_ += (word & bit) == 0 ? 1 : 0;
    word |= bit;
    uint8_t& place = registers_[register_of(entry)];
    place = std::max(place, rank_of(entry));
  }
}

void Union::add(const Registers& registers) {
  raise(registers_, registers);
  dense_ = true;
}

uint64_t Union::estimate() const {
  return is_dense() ? estimate_dense(registers_) : estimate_sparse(size_);
}

std::string Union::serialize() const {
  if (is_dense()) return encode_dense(registers_);
  if (size_ == 0) return {};
  std::vector<Entry> sorted;
  entries(sorted);
  return encode_sparse(sorted);
}

void Union::entries(std::vector<Entry>& out) const {
  out.clear();
  out.reserve(size_);
  for (size_t i = 0; i < prefixes_.size(); ++i) {
    for (uint64_t word = prefixes_[i]; word != 0; word &= word - 1) {
      const auto prefix =
          static_cast<uint32_t>(i * 64) + static_cast<uint32_t>(std::countr_zero(word));
      // A prefix that leaves the rank open has a higher one than any other of its register.
      const uint8_t rank = holds_rank(prefix) ? registers_[prefix >> kFineBits] : uint8_t{0};
      out.push_back(prefix << kRankBits | rank);
    }
  }
}

void Gathering::add(const Hll& sketch, Union& scratch) {
  if (const Registers* registers = sketch.dense()) {
    take(*registers);
  } else {
    take(sketch.sparse(), scratch);
  }
}

Status Gathering::add_serialized(std::string_view bytes, Union& scratch) {
  if (bytes.empty()) return {};
  if (TRY(is_dense(bytes))) {
    Registers registers;
    TRY(decode_dense(bytes, registers));
    take(registers);
  } else {
    DecodedEntries decoded;
    TRY(decode_sparse(bytes, decoded));
    take(decoded.span(), scratch);
  }
  return {};
}

void Gathering::take(std::span<const Entry> entries, Union& scratch) {
  if (entries_.size() + entries.size() > kEntriesHeld) {
    scratch.clear();
    scratch.add(entries_);
    scratch.add(entries);
    if (scratch.is_dense()) {
      take(scratch.registers());
      entries_ = {};
    } else {
      scratch.entries(entries_);
    }
    return;
  }
  entries_.insert(entries_.end(), entries.begin(), entries.end());
}

void Gathering::take(const Registers& registers) {
  if (dense_) return raise(*dense_, registers);
  dense_ = std::make_unique<Registers>(registers);
}

void Gathering::add_to(Union& all) const {
  all.add(entries_);
  if (dense_) all.add(*dense_);
}

}  // namespace clickmill::sketch
