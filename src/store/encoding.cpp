// Bits of a column, lowest first:
//   form 2 | body
//   form 0, equal:   number                         the value of all
//   form 1, packed:  number base | width 7 | (value - base) width each
//   form 2, Rice:    number center | k 6 | Rice code of each fold(value, center, 2^64 - 1)
//   form 3, sparse:  number n | column of n gaps between nonzero values
//                    | column of the n values - 1; neither column is itself sparse
// number: width 7 | value, width bits.
// Rice code: v >> k as that many zeros and a one, then the low k bits; from 24
// zeros on, 24 zeros and the value in 64 bits.
//
// Bits of shares (values v of limits n; those with n = 0 are left out):
//   usual 6 (in 64ths) | form 1 | body
//   form 0: spread 4 | Rice code of each fold(v, n * usual / 64, n),
//           k = max(0, (bits of n + spread - 8) / 2)
//   form 1: column of the folded values
// A share of n varies by about sqrt(n), which is why k follows half of n's bits.
#include "store/encoding.h"

#include <algorithm>
#include <array>
#include <limits>

namespace clickmill::store {
namespace {

enum Form : unsigned { kEqual = 0, kPacked = 1, kRice = 2, kSparse = 3 };
constexpr unsigned kFormBits = 2;
constexpr unsigned kWidthBits = 7;
constexpr unsigned kRiceBits = 6;
constexpr unsigned kRiceEscape = BitReader::kEscape;
constexpr unsigned kUsualBits = 6;
constexpr unsigned kSpreadBits = 4;
constexpr int kSpreadZero = 8;
constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();

unsigned bits_of(uint64_t value) { return static_cast<unsigned>(std::bit_width(value)); }

void put_number(uint64_t value, BitWriter& out) {
  out.put(bits_of(value), kWidthBits);
  out.put(value, bits_of(value));
}
uint64_t number_cost(uint64_t value) { return kWidthBits + bits_of(value); }
uint64_t get_number(BitReader& in) {
  const auto width = static_cast<unsigned>(in.get(kWidthBits));
  return width > 64 ? in.fail() : in.get(width);
}

uint64_t rice_cost(uint64_t value, unsigned k) {
  const uint64_t quotient = value >> k;
  return quotient < kRiceEscape ? quotient + 1 + k : kRiceEscape + 64;
}
void put_rice(uint64_t value, unsigned k, BitWriter& out) {
  const uint64_t quotient = value >> k;
  if (quotient >= kRiceEscape) {
    out.put(0, kRiceEscape);
    out.put(value, 64);
    return;
  }
  out.put(uint64_t{1} << quotient, static_cast<unsigned>(quotient) + 1);
  out.put(value & ((uint64_t{1} << k) - 1), k);
}
struct Choice {
  Form form = kEqual;
  uint64_t cost = kMax;
  uint64_t base = 0;   // equal, packed: smallest; Rice: center
  unsigned width = 0;  // packed: bits; Rice: k
};

uint64_t median(std::span<const uint64_t> values) {
  std::vector<uint64_t> copy(values.begin(), values.end());
  const auto middle = copy.begin() + static_cast<std::ptrdiff_t>(copy.size() / 2);
  std::nth_element(copy.begin(), middle, copy.end());
  return *middle;
}

Choice best_rice(std::span<const uint64_t> values, uint64_t center) {
  std::vector<uint64_t> folded(values.size());
  long double sum = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    folded[i] = fold(values[i], center, kMax);
    sum += static_cast<long double>(folded[i]);
  }
  // The best k is near the mean's logarithm, or below it when few values are large.
  const long double mean = std::min(sum / static_cast<long double>(values.size()), 9e18L);
  const unsigned high = std::min(bits_of(static_cast<uint64_t>(mean)) + 1, 61U);
  const unsigned low = high > 5 ? high - 5 : 0;
  Choice best;
  for (unsigned k = low; k <= high; ++k) {
    uint64_t cost = kFormBits + number_cost(center) + kRiceBits;
    for (const uint64_t value : folded) cost += rice_cost(value, k);
    if (cost < best.cost) best = Choice{kRice, cost, center, k};
  }
  return best;
}

Choice choose_dense(std::span<const uint64_t> values) {
  if (values.empty()) return Choice{kEqual, kFormBits + number_cost(0), 0, 0};
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  if (*low == *high) return Choice{kEqual, kFormBits + number_cost(*low), *low, 0};
  const unsigned width = bits_of(*high - *low);
  Choice best{kPacked, kFormBits + number_cost(*low) + kWidthBits + width * values.size(), *low,
              width};
  const uint64_t middle = median(values);
  for (const uint64_t center : {middle, *low}) {
    const Choice rice = best_rice(values, center);
    if (rice.cost < best.cost) best = rice;
  }
  return best;
}

struct Sparse {
  std::vector<uint64_t> gaps;
  std::vector<uint64_t> values;
};
Sparse to_sparse(std::span<const uint64_t> values) {
  Sparse out;
  uint64_t gap = 0;
  for (const uint64_t value : values) {
    if (value == 0) {
      ++gap;
      continue;
    }
    out.gaps.push_back(gap);
    out.values.push_back(value - 1);
    gap = 0;
  }
  return out;
}

void put_dense(std::span<const uint64_t> values, const Choice& choice, BitWriter& out) {
  out.put(choice.form, kFormBits);
  put_number(choice.base, out);
  if (choice.form == kPacked) {
    out.put(choice.width, kWidthBits);
    for (const uint64_t value : values) out.put(value - choice.base, choice.width);
  } else if (choice.form == kRice) {
    out.put(choice.width, kRiceBits);
    for (const uint64_t value : values) {
      put_rice(fold(value, choice.base, kMax), choice.width, out);
    }
  }
}

/// The shortest form of a column, found once for its cost and its encoding.
struct Plan {
  Choice dense;
  bool is_sparse = false;
  Sparse sparse;
  Choice gaps;
  Choice values;
  uint64_t cost = 0;
};
Plan plan_column(std::span<const uint64_t> values) {
  Plan plan;
  plan.dense = choose_dense(values);
  plan.cost = plan.dense.cost;
  const auto zeros = static_cast<size_t>(std::count(values.begin(), values.end(), uint64_t{0}));
  if (plan.dense.form == kEqual || zeros < values.size() / 2) return plan;
  plan.sparse = to_sparse(values);
  plan.gaps = choose_dense(plan.sparse.gaps);
  plan.values = choose_dense(plan.sparse.values);
  const uint64_t cost =
      kFormBits + number_cost(plan.sparse.gaps.size()) + plan.gaps.cost + plan.values.cost;
  plan.is_sparse = cost < plan.cost;
  plan.cost = std::min(cost, plan.cost);
  return plan;
}
void put_plan(std::span<const uint64_t> values, const Plan& plan, BitWriter& out) {
  if (!plan.is_sparse) return put_dense(values, plan.dense, out);
  out.put(kSparse, kFormBits);
  put_number(plan.sparse.gaps.size(), out);
  put_dense(plan.sparse.gaps, plan.gaps, out);
  put_dense(plan.sparse.values, plan.values, out);
}

bool decode_dense(Form form, BitReader& in, std::span<uint64_t> values) {
  const uint64_t base = get_number(in);
  if (form == kEqual) {
    std::fill(values.begin(), values.end(), base);
  } else if (form == kPacked) {
    const auto width = static_cast<unsigned>(in.get(kWidthBits));
    if (width > 64) return false;
    for (uint64_t& value : values) value = base + in.get(width);
  } else {
    const auto k = static_cast<unsigned>(in.get(kRiceBits));
    for (uint64_t& value : values) value = unfold(in.rice(k), base, kMax);
  }
  return in.ok();
}

bool decode_sparse(BitReader& in, std::span<uint64_t> values) {
  const uint64_t count = get_number(in);
  if (!in.ok() || count > values.size()) return false;
  std::vector<uint64_t> gaps(count);
  std::vector<uint64_t> nonzero(count);
  for (auto* column : {&gaps, &nonzero}) {
    const auto form = static_cast<Form>(in.get(kFormBits));
    if (form == kSparse || !decode_dense(form, in, *column)) return false;
  }
  std::fill(values.begin(), values.end(), 0);
  size_t at = 0;
  for (size_t i = 0; i < count; ++i) {
    if (gaps[i] >= values.size() - at) return false;
    at += gaps[i];
    values[at++] = nonzero[i] + 1;
  }
  return true;
}

/// usual 64ths of the limit, without overflow for any limit.
uint64_t usual_share(uint64_t limit, unsigned usual) {
  return (limit >> kUsualBits) * usual + (((limit & 63) * usual + 32) >> kUsualBits);
}
unsigned share_k(uint64_t limit, unsigned spread) {
  const int k = (static_cast<int>(bits_of(limit)) + static_cast<int>(spread) - kSpreadZero) / 2;
  return k < 0 ? 0 : static_cast<unsigned>(k);
}

unsigned usual_of(std::span<const uint64_t> limits, std::span<const uint64_t> values) {
  double all = 0;
  double part = 0;
  for (size_t i = 0; i < limits.size(); ++i) {
    all += static_cast<double>(limits[i]);
    part += static_cast<double>(values[i]);
  }
  return all == 0 ? 0 : std::min(63U, static_cast<unsigned>(64 * part / all + 0.5));
}

}  // namespace

void encode_column(std::span<const uint64_t> values, BitWriter& out) {
  put_plan(values, plan_column(values), out);
}

bool decode_column(BitReader& in, std::span<uint64_t> values) {
  const auto form = static_cast<Form>(in.get(kFormBits));
  return form == kSparse ? decode_sparse(in, values) : decode_dense(form, in, values);
}

void encode_shares(std::span<const uint64_t> limits, std::span<const uint64_t> values,
                   BitWriter& out) {
  const unsigned usual = usual_of(limits, values);
  std::vector<uint64_t> folded;
  std::vector<uint64_t> spans;
  std::array<uint64_t, 1U << kSpreadBits> costs{};
  for (size_t i = 0; i < limits.size(); ++i) {
    if (limits[i] == 0) continue;
    folded.push_back(fold(values[i], usual_share(limits[i], usual), limits[i]));
    spans.push_back(limits[i]);
    for (unsigned s = 0; s < costs.size(); ++s) {
      costs[s] += rice_cost(folded.back(), share_k(limits[i], s));
    }
  }
  const auto best = std::min_element(costs.begin(), costs.end());
  const Plan plan = plan_column(folded);
  out.put(usual, kUsualBits);
  if (plan.cost < kSpreadBits + *best) {
    out.put(1, 1);
    return put_plan(folded, plan, out);
  }
  const auto spread = static_cast<unsigned>(best - costs.begin());
  out.put(0, 1);
  out.put(spread, kSpreadBits);
  for (size_t i = 0; i < folded.size(); ++i) put_rice(folded[i], share_k(spans[i], spread), out);
}

bool decode_shares(BitReader& in, std::span<const uint64_t> limits, std::span<uint64_t> values) {
  const auto usual = static_cast<unsigned>(in.get(kUsualBits));
  const bool column = in.get(1) == 1;
  std::vector<uint64_t> folded;
  unsigned spread = 0;
  if (column) {
    folded.resize(limits.size() - static_cast<size_t>(std::count(limits.begin(), limits.end(), 0)));
    if (!decode_column(in, folded)) return false;
  } else {
    spread = static_cast<unsigned>(in.get(kSpreadBits));
  }
  size_t at = 0;
  for (size_t i = 0; i < limits.size(); ++i) {
    const uint64_t limit = limits[i];
    if (limit == 0) {
      values[i] = 0;
      continue;
    }
    const uint64_t code = column ? folded[at++] : in.rice(share_k(limit, spread));
    if (code > limit) return false;
    values[i] = unfold(code, usual_share(limit, usual), limit);
  }
  return in.ok();
}

}  // namespace clickmill::store
