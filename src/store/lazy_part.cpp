#include "store/lazy_part.h"

#include <utility>

#include "base/lru_cache.h"

namespace clickmill::store {
namespace {

constexpr size_t kProcessBytes = 16 << 20;

using Insides = LruCache<Part>;

Insides& insides() {
  static Insides cache(kProcessBytes);
  return cache;
}

}  // namespace

size_t LazyPart::bytes_kept() { return insides().bytes(); }

Result<std::shared_ptr<const Part>> LazyPart::inside() const {
  const Insides::Key key{number(), 0};
  if (auto kept = insides().find(key)) return kept;
  Inside loaded = TRY(source_->load(number()));
  insides().put(key, loaded.part, loaded.bytes);
  return std::move(loaded.part);
}

/// Nobody asks for it any more.
LazyPart::~LazyPart() { insides().erase({number(), 0}); }

Status LazyPart::open() const {
  TRY(inside());
  return {};
}

Status LazyPart::scan(const Scan& scan, const Visit& visit) const {
  return TRY(inside())->scan(scan, visit);
}

Status LazyPart::scan_between(const PartKey& first, const PartKey& last, const Scan& scan,
                              const Visit& visit) const {
  return TRY(inside())->scan_between(first, last, scan, visit);
}

Result<CountryOrder> LazyPart::countries() const { return TRY(inside())->countries(); }

Status LazyPart::sum(const Scan& scan, const VisitSum& visit) const {
  return TRY(inside())->sum(scan, visit);
}

Status LazyPart::verify() const { return TRY(inside())->verify(); }

}  // namespace clickmill::store
