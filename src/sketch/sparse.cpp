// Format of a sparse sketch (1–1,024 entries):
//
//   offset  size  field
//   0       1     high nibble: version, 1; low nibble: k, the Rice parameter, 6–15
//   1       …     bit stream, lowest bit of a byte first
//
// For each entry in ascending order of its prefix:
//   gap = prefix − previous prefix − 1 (the first: prefix): gap >> k in unary
//   (ones, then a zero), then the k low bits of gap;
//   if the 5 low bits of the prefix are 0: rank − 6 in unary.
// Ones fill the last byte. A finished entry holds a zero, so no count is stored.
//
// Valid: k is rice_parameter(number of entries), prefixes are below 2^17, ranks
// at most 53, fewer than 8 bits of filling. So each set has exactly one encoding.
// An older reader refuses a newer version as corrupt.
#include "sketch/sparse.h"

#include <algorithm>

#include "base/bytes.h"
#include "sketch/bits.h"
#include "sketch/version.h"

namespace clickmill::sketch {
namespace {

// The gaps of n random prefixes are geometric with mean 2^17 / (n + 1). Rice
// codes of parameter k and k + 1 cost the same where exp(2^k / mean) is the
// golden ratio, so the best k is the largest with 2^k <= 2 ln(1.618) mean; 2 ln(1.618) 2^17 =
// 126,147.
unsigned rice_parameter(size_t entries) {
  return static_cast<unsigned>(std::bit_width(126'147 / (entries + 1))) - 1;
}
static_assert(kEntriesMax + 1 <= 126'147 / 64, "the parameter stays 6 or more: 0 means dense");

Error corrupt(const char* why) { return Error(Errc::corrupt, why); }

}  // namespace

size_t unite(std::span<const Entry> a, std::span<const Entry> b, Entry* out) {
  const Entry* const begin = out;
  auto x = a.begin();
  auto y = b.begin();
  while (x != a.end() && y != b.end()) {
    if (prefix_of(*x) == prefix_of(*y)) {
      *out++ = std::max(*x++, *y++);
    } else {
      *out++ = *x < *y ? *x++ : *y++;
    }
  }
  out = std::copy(x, a.end(), out);
  out = std::copy(y, b.end(), out);
  return static_cast<size_t>(out - begin);
}

std::string encode_sparse(std::span<const Entry> entries) {
  const unsigned k = rice_parameter(entries.size());
  std::string out;
  out.reserve(2 + entries.size() * (k + 3) / 8);
  out.push_back(static_cast<char>(kVersion << 4 | k));
  BitWriter writer(out);
  uint32_t next = 0;
  for (const Entry entry : entries) {
    const uint32_t prefix = prefix_of(entry);
    const uint32_t gap = prefix - next;
    writer.unary(gap >> k);
    writer.bits(gap & ((1U << k) - 1), k);
    if (holds_rank(prefix)) writer.unary(rank_of(entry) - (kFineBits + 1));
    next = prefix + 1;
  }
  writer.pad_with_ones();
  return out;
}

Status decode_sparse(std::string_view bytes, DecodedEntries& out) {
  const unsigned k = ByteCursor(bytes).u8() & 0x0f;
  BitReader reader(bytes.substr(1));
  uint32_t next = 0;
  out.count = 0;
  while (!reader.at_padding()) {
    const uint64_t high = reader.unary();
    const uint64_t low = reader.bits(k);
    // Bounded before the shift: the bytes decide how long a run of ones is.
    if (high >> (kPrefixBits - k) != 0) return corrupt("sketch: prefix is out of range");
    const uint64_t prefix = next + (high << k | low);
    if (prefix >> kPrefixBits != 0) return corrupt("sketch: prefix is out of range");
    next = static_cast<uint32_t>(prefix) + 1;
    uint64_t rank = 0;
    if (holds_rank(next - 1)) rank = reader.unary() + kFineBits + 1;
    if (!reader.ok()) return corrupt("sketch: entry is cut off");
    if (rank > kRankMax) return corrupt("sketch: rank is above 53");
    if (out.count == kEntriesMax) return corrupt("sketch: too many sparse entries");
    out.entries[out.count++] = (next - 1) << kRankBits | static_cast<Entry>(rank);
  }
  if (out.count == 0) return corrupt("sketch: sparse form without entries");
  if (k != rice_parameter(out.count)) return corrupt("sketch: wrong Rice parameter");
  return {};
}

}  // namespace clickmill::sketch
