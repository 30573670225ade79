#include <utility>

#include "store/merge.h"
#include "store/part.h"

namespace clickmill::store {
namespace {

class DamagedPart final : public Part {
 public:
  DamagedPart(PartMeta meta, const Error& why)
      : meta_(std::move(meta)),
        code_(why.code()),
        message_(why.message()),
        path_(why.path()),
        position_(why.position()) {}

  const PartMeta& meta() const override { return meta_; }
  Status scan(const Scan& scan, const Visit&) const override { return answer(scan); }
  Status sum(const Scan& scan, const VisitSum&) const override { return answer(scan); }
  Status verify() const override { return Error(code_, message_, path_, position_); }

 private:
  Status answer(const Scan& scan) const {
    if (apart(meta_, scan)) return {};
    return Error(code_, message_, path_, position_);
  }

  const PartMeta meta_;
  const Errc code_;
  const std::string message_;
  const std::string path_;
  const uint64_t position_;
};

}  // namespace

std::shared_ptr<const Part> Part::damaged(const PartMeta& meta, const Error& why) {
  return std::make_shared<DamagedPart>(meta, why);
}

}  // namespace clickmill::store
