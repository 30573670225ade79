#include "sketch/estimate.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace clickmill::sketch {
namespace {

// Ertl's sigma, for the registers still at 0. Only x < 1 comes here: a dense
// sketch has a register above 0.
double sigma(double x) {
  double y = 1;
  double z = x;
  for (double before = -1; z != before;) {
    before = z;
    x *= x;
    z += x * y;
    y += y;
  }
  return z;
}

// Ertl's tau, for the registers at the highest rank.
double tau(double x) {
  if (x == 0 || x == 1) return 0;
  double y = 1;
  double z = 1 - x;
  for (double before = -1; z != before;) {
    before = z;
    x = std::sqrt(x);
    y *= 0.5;
    z -= (1 - x) * (1 - x) * y;
  }
  return z / 3;
}

uint64_t rounded(double value) {
  // Registers all at the highest rank, which only a forged sketch has, mean infinity.
  constexpr double kTooLarge = 0x1p63;
  if (!(value < kTooLarge)) return std::numeric_limits<int64_t>::max();
  return static_cast<uint64_t>(value + 0.5);
}

}  // namespace

uint64_t estimate_sparse(size_t entries) {
  // -m ln(1 - x) with x = entries / m as a series: x <= 2^-7 makes the fifth
  // term less than 0.001, and no logarithm can differ by library.
  static_assert(kEntriesMax <= (1U << kPrefixBits) / 128);
  constexpr double kCells = 1U << kPrefixBits;
  const double x = static_cast<double>(entries) / kCells;
  return rounded(kCells * x * (1 + x * (1.0 / 2 + x * (1.0 / 3 + x * (1.0 / 4)))));
}

uint64_t estimate_dense(const Registers& registers) {
  constexpr double kCount = Registers{}.size();
  constexpr double kAlpha = 0.721347520444481703680;  // 1 / (2 ln 2)
  const Histogram histogram = histogram_of(registers);
  double z = kCount * tau(1 - histogram[kRankMax] / kCount);
  for (unsigned rank = kRankMax - 1; rank >= 1; --rank) z = 0.5 * (z + histogram[rank]);
  z += kCount * sigma(histogram[0] / kCount);
  return std::max(kDenseLeast, rounded(kAlpha * kCount * kCount / z));
}

}  // namespace clickmill::sketch
