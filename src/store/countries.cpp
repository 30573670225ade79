// Countries region of a block:
//   u8  form
//   form 0, plain: for each row varint number of countries, then for each: u16 code
//     (rising), varint clicks (not 0). Only if some row's countries don't sum to its clicks.
//   form 1, coded (range_coder.h):
//     for each country of the part's order 1 bit: it occurs in the block
//     for each row, for each that occurs but the last, while clicks are left: its
//     share of them. The last takes what is left.
//
// Share v of n clicks left, p being the country's share so far in this block
// (beginning with the part's, with the weight of 8 clicks):
//   f = fold(v, n * p, n): the distance from the expected, both signs in turn
//   q = f >> k in unary, at most 16 ones, each with a learnt probability;
//   16 of them: 7 bits width of q - 16 and its bits
//   the low k bits of f as they are
// k follows the binomial's variance n p (1 - p), so that q has the same few
// values whatever n and p are. The first bit's probability is learnt per class
// of n and p, the others' per place: a block is too short to learn one per country.
//
// A part's order, in its dictionary: varint number, then u16 code, u16 share each.
#include "store/countries.h"

#include <algorithm>
#include <array>
#include <bit>
#include <map>

#include "base/assert.h"
#include "store/encoding.h"
#include "store/range_coder.h"

namespace clickmill::store {
namespace {

enum Form : uint8_t { kPlain = 0, kCoded = 1 };
constexpr size_t kUnaryMax = 16;
constexpr unsigned kWidthBits = 7;
constexpr uint64_t kPriorWeight = 8;
constexpr size_t kLeftClasses = 5;
constexpr size_t kShareClasses = 17;

/// value * fraction / 65536, rounded, without overflow; fraction up to 65536.
uint64_t times(uint64_t value, uint64_t fraction) {
  return (value >> 16) * fraction + (((value & 0xffff) * fraction + 0x8000) >> 16);
}

/// A country's share of what is left when its turn comes, learnt.
class Share {
 public:
  explicit Share(uint16_t usual) : part_(kPriorWeight * usual) { update(); }
  uint64_t fraction() const { return fraction_; }
  void learn(uint64_t value, uint64_t left) {
    // Halved before they outgrow their 16 bits of fraction; large rows count scaled down.
    const auto width = static_cast<unsigned>(std::bit_width(left));
    const unsigned shift = width > 30 ? width - 30 : 0;
    part_ += (value >> shift) << 16;
    whole_ += left >> shift;
    while (whole_ >= uint64_t{1} << 32) {
      part_ /= 2;
      whole_ /= 2;
    }
    update();
  }

 private:
  void update() { fraction_ = std::min<uint64_t>(part_ / whole_, 65'536); }
  uint64_t part_;  // in 65536ths
  uint64_t whole_ = kPriorWeight;
  uint64_t fraction_ = 0;
};

/// What encoder and decoder learn in step, and the order of their decisions.
class Model {
 public:
  Model() {
    // Begin where a binomial would be: the chance that a country has any click.
    constexpr std::array<unsigned, kLeftClasses> kLeft{1, 2, 4, 10, 24};
    for (size_t l = 0; l < kLeftClasses; ++l) {
      for (size_t s = 0; s < kShareClasses; ++s) {
        const uint64_t share = s * 4'096;
        uint64_t none = 65'536;
        for (unsigned i = 0; i < kLeft[l]; ++i) none = times(none, 65'536 - share);
        const bool likely_none = share * kLeft[l] < 32'768;
        const uint64_t any = likely_none ? 65'536 - none : l == 0 ? 65'536 - share : 32'768;
        first_[l][s].one = static_cast<uint16_t>(std::clamp<uint64_t>(any, 512, 65'024));
        first_[l][s].seen = 4;
      }
    }
  }

  template <typename Coder>
  bool present(Coder& coder, bool bit) {
    return coder.bit(present_, bit);
  }

  /// The share `value` of `left` (ignored when decoding). Bytes that no encoder
  /// wrote may give a number above `left`.
  template <typename Coder>
  uint64_t share(Coder& coder, Share& share, uint64_t value, uint64_t left) {
    const uint64_t fraction = share.fraction();
    const uint64_t expected = times(left, fraction);
    const uint64_t variance = times(left, times(fraction, 65'536 - fraction));
    const auto bits = static_cast<unsigned>(std::bit_width(variance));
    const unsigned k = bits < 3 ? 0 : (bits - 3) / 2;
    uint64_t code = Coder::kDecodes ? 0 : fold(value, expected, left);
    const uint64_t quotient = unary(coder, code >> k, left >> k, left, fraction);
    if (quotient > left >> k) return left + 1;
    code = quotient << k | coder.raw(code & ((uint64_t{1} << k) - 1), k);
    if (code > left) return left + 1;
    const uint64_t out = unfold(code, expected, left);
    share.learn(out, left);
    return out;
  }

 private:
  template <typename Coder>
  uint64_t unary(Coder& coder, uint64_t quotient, uint64_t most, uint64_t left, uint64_t fraction) {
    const size_t width = std::min<size_t>(static_cast<size_t>(std::bit_width(left + 1)), 5) - 2;
    const size_t left_class = left < 3 ? left - 1 : std::min<size_t>(width + 1, kLeftClasses - 1);
    size_t i = 0;
    for (; i < kUnaryMax; ++i) {
      // No share is above what is left: the last possible bit says nothing.
      if (i == most) return i;
      AdaptiveBit& context =
          i == 0 ? first_[left_class][(fraction + 2'048) / 4'096] : later_[left_class][i];
      if (!coder.bit(context, quotient > i)) return i;
    }
    const uint64_t more = quotient - i;
    const auto more_bits =
        static_cast<unsigned>(coder.raw(static_cast<uint64_t>(std::bit_width(more)), kWidthBits));
    if (more_bits > 63) return UINT64_MAX;
    return coder.raw(more, more_bits) + i;
  }

  AdaptiveBit present_;
  std::array<std::array<AdaptiveBit, kShareClasses>, kLeftClasses> first_;
  std::array<std::array<AdaptiveBit, kUnaryMax>, kLeftClasses> later_;
};

/// Where a country stands in the order, which must have it.
class Places {
 public:
  explicit Places(const CountryOrder& order) {
    for (const auto& usual : order.countries) places_.emplace_back(usual.code, places_.size());
    std::sort(places_.begin(), places_.end());
  }
  size_t of(click::Country code) const {
    const auto at = std::lower_bound(places_.begin(), places_.end(), std::pair{code, size_t{0}});
    CM_ASSERT(at != places_.end() && at->first == code);
    return at->second;
  }

 private:
  std::vector<std::pair<click::Country, size_t>> places_;
};

std::span<const CountryCount> countries_of(const RowView& row) {
  return {row.countries, row.countries_size};
}

bool sums_to_clicks(const RowView& row) {
  uint64_t left = row.clicks;
  for (const auto& [code, clicks] : countries_of(row)) {
    if (clicks > left) return false;
    left -= clicks;
  }
  return left == 0;
}

void encode_plain(std::span<const RowView> rows, std::string& out) {
  ByteWriter writer(out);
  for (const RowView& row : rows) {
    writer.varint(row.countries_size);
    for (const auto& [code, clicks] : countries_of(row)) {
      writer.u16(code);
      writer.varint(clicks);
    }
  }
}

bool decode_plain(ByteCursor& cursor, size_t rows, std::vector<CountryCount>& counts,
                  std::vector<uint32_t>& begins) {
  for (size_t row = 0; row < rows; ++row) {
    const uint64_t size = cursor.varint();
    for (uint64_t i = 0; i < size; ++i) {
      const click::Country code = cursor.u16();
      const uint64_t clicks = cursor.varint();
      if (!cursor.ok() || clicks == 0 || (i > 0 && counts.back().first >= code)) return false;
      counts.emplace_back(code, clicks);
    }
    begins.push_back(static_cast<uint32_t>(counts.size()));
  }
  return cursor.done();
}

std::vector<Share> shares_of(const CountryOrder& order, const std::vector<size_t>& present) {
  std::vector<Share> shares;
  for (const size_t place : present) shares.emplace_back(order.countries[place].share);
  return shares;
}

void encode_coded(std::span<const RowView> rows, const CountryOrder& order, std::string& out) {
  const Places places(order);
  const size_t size = order.countries.size();
  std::vector<uint64_t> matrix(rows.size() * size);  // row after row
  std::vector<char> occurs(size, 0);
  for (size_t row = 0; row < rows.size(); ++row) {
    for (const auto& [code, clicks] : countries_of(rows[row])) {
      const size_t place = places.of(code);
      matrix[row * size + place] = clicks;
      occurs[place] = 1;
    }
  }
  RangeEncoder coder(out);
  Model model;
  std::vector<size_t> present;
  for (size_t place = 0; place < size; ++place) {
    if (model.present(coder, occurs[place] != 0)) present.push_back(place);
  }
  std::vector<Share> shares = shares_of(order, present);
  for (size_t row = 0; row < rows.size(); ++row) {
    uint64_t left = rows[row].clicks;
    for (size_t i = 0; i + 1 < present.size() && left > 0; ++i) {
      left -= model.share(coder, shares[i], matrix[row * size + present[i]], left);
    }
  }
  coder.finish();
}

/// The few entries of a row, by code.
void sort_row(std::span<CountryCount> row) {
  for (size_t i = 1; i < row.size(); ++i) {
    for (size_t j = i; j > 0 && row[j].first < row[j - 1].first; --j) std::swap(row[j], row[j - 1]);
  }
}

bool decode_coded(std::string_view bytes, std::span<const uint64_t> clicks,
                  const CountryOrder& order, std::vector<CountryCount>& counts,
                  std::vector<uint32_t>& begins) {
  RangeDecoder coder(bytes);
  Model model;
  std::vector<size_t> present;
  for (size_t place = 0; place < order.countries.size(); ++place) {
    if (model.present(coder, false)) present.push_back(place);
  }
  std::vector<Share> shares = shares_of(order, present);
  for (uint64_t left : clicks) {
    if (left > 0 && present.empty()) return false;
    for (size_t i = 0; left > 0; ++i) {
      const bool last = i + 1 == present.size();
      const uint64_t share = last ? left : model.share(coder, shares[i], 0, left);
      if (share > left) return false;
      if (share > 0) counts.emplace_back(order.countries[present[i]].code, share);
      left -= share;
    }
    sort_row(std::span(counts).subspan(begins.back()));
    begins.push_back(static_cast<uint32_t>(counts.size()));
  }
  return true;
}

}  // namespace

CountryOrder CountryOrder::of_rows(std::span<const RowView> rows) {
  std::map<click::Country, uint64_t> sums;
  for (const RowView& row : rows) {
    for (const auto& [code, clicks] : countries_of(row)) sums[code] += clicks;
  }
  return of_clicks(sums);
}

void CountryOrder::add_clicks(uint64_t clicks, std::map<click::Country, uint64_t>& out) const {
  uint64_t left = clicks;
  for (const Usual& usual : countries) {
    const uint64_t taken = times(left, usual.share);
    out[usual.code] += std::max<uint64_t>(taken, 1);
    left -= std::min(taken, left);
  }
}

CountryOrder CountryOrder::of_clicks(const std::map<click::Country, uint64_t>& clicks_of) {
  std::vector<CountryCount> sorted(clicks_of.begin(), clicks_of.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  double left = 0;
  for (const auto& [code, clicks] : sorted) left += static_cast<double>(clicks);
  CountryOrder out;
  for (const auto& [code, clicks] : sorted) {
    const double share = static_cast<double>(clicks) / std::max(left, 1.0);
    left -= static_cast<double>(clicks);
    out.countries.push_back({code, static_cast<uint16_t>(std::clamp(share, 0.0, 1.0) * 65'535)});
  }
  return out;
}

void CountryOrder::encode(std::string& out) const {
  ByteWriter writer(out);
  writer.varint(countries.size());
  for (const Usual& usual : countries) {
    writer.u16(usual.code);
    writer.u16(usual.share);
  }
}

bool CountryOrder::decode(ByteCursor& cursor) {
  countries.clear();
  std::vector<bool> seen(UINT16_MAX + 1);
  const uint64_t size = cursor.varint();
  for (uint64_t i = 0; i < size; ++i) {
    const Usual usual{cursor.u16(), cursor.u16()};
    if (!cursor.ok() || seen[usual.code]) return false;
    seen[usual.code] = true;
    countries.push_back(usual);
  }
  return cursor.ok();
}

void encode_countries(std::span<const RowView> rows, const CountryOrder& order, std::string& out) {
  const bool whole = std::all_of(rows.begin(), rows.end(), sums_to_clicks);
  out.push_back(whole ? kCoded : kPlain);
  if (whole) {
    encode_coded(rows, order, out);
  } else {
    encode_plain(rows, out);
  }
}

bool decode_countries(std::string_view bytes, std::span<const uint64_t> clicks,
                      const CountryOrder& order, std::vector<CountryCount>& counts,
                      std::vector<uint32_t>& begins) {
  ByteCursor cursor(bytes);
  counts.clear();
  begins.assign(1, 0);
  const uint8_t form = cursor.u8();
  if (!cursor.ok() || form > kCoded) return false;
  return form == kPlain ? decode_plain(cursor, clicks.size(), counts, begins)
                        : decode_coded(cursor.rest(), clicks, order, counts, begins);
}

}  // namespace clickmill::store
