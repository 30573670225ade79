// A column of unsigned numbers: frame of reference, bit-packed, with exceptions
// (after Zukowski et al., "Super-Scalar RAM-CPU Cache Compression", 2006).
// Nothing at all for a column of none; else
//
//   size    field
//   varint  base: the smallest value
//   1       width, 0 … 56 or 64: bits of each packed number
//   …       packed: (value - base), its low `width` bits, lowest bit first;
//           count × width bits, the last byte filled up with zeros
//   varint  number of exceptions: values with bits above the width
//   …       each: varint distance from the exception before (from -1 for the
//           first), less 1; varint (value - base) >> width, not 0
//
// Widths 57 … 63 don't occur, so that a number can be cut out of one unaligned load
// of 8 bytes.

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "click/column.h"

namespace clickmill::click {
namespace {

constexpr unsigned kNarrowWidthMax = 56;

size_t packed_bytes(size_t count, unsigned width) { return (count * width + 7) / 8; }

uint64_t mask_of(unsigned width) { return width == 64 ? ~uint64_t{0} : (uint64_t{1} << width) - 1; }

/// The width with the least bytes: a few wide numbers are cheaper as exceptions.
unsigned best_width(const std::vector<uint64_t>& values, uint64_t base) {
  std::array<size_t, 65> with_bits{};
  for (const uint64_t value : values)
    ++with_bits[static_cast<size_t>(std::bit_width(value - base))];
  unsigned best = 64;
  size_t best_cost = values.size() * 8;
  for (unsigned width = 0; width <= kNarrowWidthMax; ++width) {
    size_t cost = packed_bytes(values.size(), width);
    for (unsigned bits = width + 1; bits <= 64; ++bits) {
      cost += with_bits[bits] * (1 + (bits - width + 6) / 7);
    }
    if (cost < best_cost) {
      best = width;
      best_cost = cost;
    }
  }
  return best;
}

void append_packed(const std::vector<uint64_t>& values, uint64_t base, unsigned width,
                   std::string& out) {
  if (width == 64) {
    ByteWriter writer(out);
    for (const uint64_t value : values) writer.u64(value - base);
    return;
  }
  uint64_t waiting = 0;
  unsigned bits = 0;
  for (const uint64_t value : values) {
    waiting |= ((value - base) & mask_of(width)) << bits;
    bits += width;
    for (; bits >= 8; bits -= 8, waiting >>= 8) out.push_back(static_cast<char>(waiting));
  }
  if (bits > 0) out.push_back(static_cast<char>(waiting));
}

void append_exceptions(const std::vector<uint64_t>& values, uint64_t base, unsigned width,
                       std::string& out) {
  std::string exceptions;
  ByteWriter writer(exceptions);
  uint64_t number = 0;
  size_t next = 0;
  for (size_t i = 0; i < values.size() && width < 64; ++i) {
    const uint64_t high = (values[i] - base) >> width;
    if (high == 0) continue;
    writer.varint(i - next);
    writer.varint(high);
    next = i + 1;
    ++number;
  }
  ByteWriter(out).varint(number);
  out += exceptions;
}

/// Eight bytes from `at`, zeros behind the end.
uint64_t load(std::string_view bytes, size_t at) {
  uint64_t word = 0;
  if (at + 8 <= bytes.size()) {
    std::memcpy(&word, bytes.data() + at, 8);
  } else if (at < bytes.size()) {
    std::memcpy(&word, bytes.data() + at, bytes.size() - at);
  }
  return word;
}

void unpack(std::string_view packed, uint64_t base, unsigned width, std::vector<uint64_t>& values) {
  const uint64_t mask = mask_of(width);
  size_t bit = 0;
  for (auto& value : values) {
    value = base + (load(packed, bit / 8) >> (bit % 8) & mask);
    bit += width;
  }
}

bool padding_is_zero(std::string_view packed, size_t bits) {
  return bits % 8 == 0 || static_cast<uint8_t>(packed.back()) >> (bits % 8) == 0;
}

void read_exceptions(ByteCursor& cursor, unsigned width, std::vector<uint64_t>& values) {
  const uint64_t number = cursor.varint();
  if (number > values.size() || (width == 64 && number > 0)) cursor.fail();
  size_t next = 0;
  for (uint64_t i = 0; i < number && cursor.ok(); ++i) {
    const uint64_t skipped = cursor.varint();
    const uint64_t high = cursor.varint();
    const bool fits = high != 0 && high <= ~uint64_t{0} >> width;
    if (!cursor.ok() || !fits || skipped >= values.size() - next) {
      cursor.fail();
      return;
    }
    next += skipped;
    values[next++] += high << width;
  }
}

}  // namespace

void append_numbers(const std::vector<uint64_t>& values, std::string& out) {
  if (values.empty()) return;
  const uint64_t base = *std::min_element(values.begin(), values.end());
  const unsigned width = best_width(values, base);
  ByteWriter writer(out);
  writer.varint(base);
  writer.u8(static_cast<uint8_t>(width));
  append_packed(values, base, width, out);
  append_exceptions(values, base, width, out);
}

std::vector<uint64_t> read_numbers(ByteCursor& cursor, size_t count) {
  if (count == 0) return {};
  const uint64_t base = cursor.varint();
  const unsigned width = cursor.u8();
  if (width > kNarrowWidthMax && width != 64) cursor.fail();
  const std::string_view packed = cursor.raw(packed_bytes(count, width));
  if (!cursor.ok() || !padding_is_zero(packed, count * width)) {
    cursor.fail();
    return {};
  }
  std::vector<uint64_t> values(count);
  unpack(packed, base, width, values);
  read_exceptions(cursor, width, values);
  return values;
}

}  // namespace clickmill::click
