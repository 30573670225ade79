#include "stream/country_tally.h"

#include <algorithm>

namespace clickmill::stream {
namespace {

constexpr unsigned kClickBits = 48;
constexpr uint64_t kClicks = (uint64_t{1} << kClickBits) - 1;

}  // namespace

void CountryTally::add(click::Country country, uint64_t clicks) {
  const uint64_t lowest = uint64_t{country} << kClickBits;
  uint64_t* const begin = many_ ? many_.get() : &one_;
  uint64_t* const at = std::lower_bound(begin, begin + size_, lowest);
  if (at != begin + size_ && *at >> kClickBits == country) {
    *at += clicks;
  } else {
    insert(static_cast<size_t>(at - begin), lowest + clicks);
  }
}

void CountryTally::insert(size_t at, uint64_t entry) {
  if (size_ == 0) {
    one_ = entry;
    size_ = 1;
    return;
  }
  if (size_ + 1 > capacity_) {
    capacity_ = capacity_ == 0 ? 3 : 2 * capacity_ + 1;  // fits malloc's sizes
    auto grown = std::make_unique<uint64_t[]>(capacity_);
    std::ranges::copy(entries(), grown.get());
    many_ = std::move(grown);
  }
  std::copy_backward(many_.get() + at, many_.get() + size_, many_.get() + size_ + 1);
  many_[at] = entry;
  ++size_;
}

std::vector<std::pair<click::Country, uint64_t>> CountryTally::counts() const {
  std::vector<std::pair<click::Country, uint64_t>> out;
  out.reserve(size_);
  counts(out);
  return out;
}

void CountryTally::counts(std::vector<std::pair<click::Country, uint64_t>>& out) const {
  for (const uint64_t entry : entries()) {
    out.emplace_back(static_cast<click::Country>(entry >> kClickBits), entry & kClicks);
  }
}

}  // namespace clickmill::stream
