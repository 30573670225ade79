#include "store/block_cache.h"

#include <limits>
#include <utility>

namespace clickmill::store {
namespace {

constexpr size_t kProcessBytes = 48 << 20;

/// Puts columns one after the other, as long as their numbers fit.
class Packer {
 public:
  explicit Packer(size_t size) { values_.reserve(size); }
  template <typename Column>
  void add(const Column& column) {
    for (const uint64_t value : column) add(value);
  }
  void add(uint64_t value) {
    fits_ = fits_ && value <= std::numeric_limits<uint32_t>::max();
    values_.push_back(static_cast<uint32_t>(value));
  }
  BlockCache::Values done() && {
    return fits_ ? std::make_shared<const std::vector<uint32_t>>(std::move(values_)) : nullptr;
  }

 private:
  std::vector<uint32_t> values_;
  bool fits_ = true;
};

}  // namespace

BlockCache& BlockCache::of_process() {
  static BlockCache cache(kProcessBytes);
  return cache;
}

void BlockCache::put(uint64_t part, uint32_t block, Region region, Values values) {
  if (!values) return;
  const size_t bytes = values->size() * sizeof(uint32_t);
  values_.put(key_of(part, block, region), std::move(values), bytes);
}

BlockCache::Values pack_region(Region region, const BlockEntry& entry,
                               const BlockColumns& columns) {
  if (region == Region::estimates) {
    Packer packer(entry.rows);
    packer.add(columns.estimates);
    return std::move(packer).done();
  }
  if (region == Region::countries) {
    Packer packer(columns.countries_begin.size() + 2 * columns.countries.size());
    packer.add(columns.countries_begin);
    for (const auto& [code, clicks] : columns.countries) {
      packer.add(uint64_t{code});
      packer.add(clicks);
    }
    return std::move(packer).done();
  }
  Packer packer((3 + click::kDevices) * size_t{entry.rows});
  packer.add(columns.keys);
  packer.add(columns.buckets);
  packer.add(columns.clicks);
  for (const auto& device : columns.devices) packer.add(device);
  return std::move(packer).done();
}

void append_kept_countries(const BlockEntry& entry, const std::vector<uint32_t>& values, size_t row,
                           std::vector<CountryCount>& out) {
  const uint32_t* const pairs = values.data() + entry.rows + 1;
  for (size_t i = values[row]; i < values[row + 1]; ++i)
    out.emplace_back(static_cast<click::Country>(pairs[2 * i]), pairs[2 * i + 1]);
}

void unpack_region(Region region, const BlockEntry& entry, const std::vector<uint32_t>& values,
                   BlockColumns& columns) {
  auto at = values.begin();
  const auto take = [&at](auto& column, size_t size) {
    column.assign(at, at + static_cast<std::ptrdiff_t>(size));
    at += static_cast<std::ptrdiff_t>(size);
  };
  if (region == Region::estimates) return take(columns.estimates, entry.rows);
  if (region == Region::countries) {
    take(columns.countries_begin, size_t{entry.rows} + 1);
    columns.countries.resize(columns.countries_begin.back());
    for (auto& [code, clicks] : columns.countries) {
      code = static_cast<click::Country>(*at++);
      clicks = *at++;
    }
    return;
  }
  take(columns.keys, entry.rows);
  take(columns.buckets, entry.rows);
  take(columns.clicks, entry.rows);
  for (auto& device : columns.devices) take(device, entry.rows);
}

}  // namespace clickmill::store
