#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "store/part.h"

namespace clickmill::store {

/// A part whose insides (dictionary and directory of blocks) are in memory while they are used
/// and, as long as all parts' have room, afterwards: a store of years has hundreds of thousands
/// of blocks. Its file stays open, so that it can be read to its end after a merge has unlinked
/// it. Thread: any.
class LazyPart final : public Part {
 public:
  /// What can be read; and how much memory it holds.
  struct Inside {
    std::shared_ptr<const Part> part;
    size_t bytes = 0;
  };
  class Source {
   public:
    virtual ~Source() = default;
    virtual const PartMeta& meta() const = 0;
    /// `number`: of the part that it is the inside of.
    virtual Result<Inside> load(uint64_t number) const = 0;
  };
  explicit LazyPart(std::unique_ptr<const Source> source) : source_(std::move(source)) {}
  LazyPart(const LazyPart&) = delete;
  LazyPart& operator=(const LazyPart&) = delete;
  ~LazyPart() override;
  /// Loads it for the first time: whatever is wrong shows now.
  Status open() const;

  const PartMeta& meta() const override { return source_->meta(); }
  Status scan(const Scan& scan, const Visit& visit) const override;
  Status scan_between(const PartKey& first, const PartKey& last, const Scan& scan,
                      const Visit& visit) const override;
  Result<CountryOrder> countries() const override;
  Status sum(const Scan& scan, const VisitSum& visit) const override;
  Status verify() const override;

  /// What all insides that are kept hold.
  static size_t bytes_kept();

 private:
  Result<std::shared_ptr<const Part>> inside() const;
  const std::unique_ptr<const Source> source_;
};

}  // namespace clickmill::store
