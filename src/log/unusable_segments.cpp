#include "log/segments.h"

namespace clickmill::log {
namespace {

class UnusableSegments final : public Segments {
 public:
  explicit UnusableSegments(std::string why) : why_(std::move(why)) {}

  Status seal(std::span<const Entry>) override { return error(); }
  Offset first() const override { return last_ + 1; }
  Offset last() const override { return last_; }
  Term last_term() const override { return Term(0); }
  Term dropped_term() const override { return Term(0); }
  LogMs last_append_ms() const override { return LogMs(0); }
  Result<std::vector<Entry>> read_block(Offset) const override { return error(); }
  Result<std::optional<Offset>> find_time(LogMs) const override { return error(); }
  Status drop(Offset, LogMs) override { return error(); }
  Status reset_to(Offset, Term, LogMs) override { return error(); }
  Result<std::unique_ptr<OlderSegment>> begin_older(Offset) override { return error(); }
  Status take_older(OlderSegment&, Term) override { return error(); }
  Status bridge(Offset upto, Term, LogMs) override {
    last_ = upto;
    return {};
  }
  std::vector<Closed> closed() const override { return {}; }
  const std::string& mended() const override { return mended_; }
  uint64_t bytes() const override { return 0; }
  VerifyReport verify(const Pace&) const override {
    VerifyReport report;
    report.damage.push_back(why_);
    return report;
  }

 private:
  Error error() const { return Error(Errc::closed, why_); }

  const std::string why_;
  Offset last_;
  const std::string mended_;
};

}  // namespace

std::unique_ptr<Segments> unusable_segments(std::string why) {
  return std::make_unique<UnusableSegments>(std::move(why));
}

}  // namespace clickmill::log
