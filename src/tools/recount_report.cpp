#include "tools/recount_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/time_text.h"

namespace clickmill::tools {

std::string cant_be_judged(const RecountArguments& request, int64_t judged_from_ms) {
  return fmt::format("can't be judged, since clicks or ids lie before the log's start: {} to {}",
                     format_time_ms(request.from_ms),
                     format_time_ms(std::min(judged_from_ms, request.to_ms)));
}

void RecountReport::add(const stream::Recounted& recounted, size_t compared,
                        const std::vector<stream::Difference>& differences) {
  clicks_ += recounted.clicks;
  compared_ += compared;
  unjudged_until_ms_ = std::max(unjudged_until_ms_, recounted.judged_from_ms);
  for (const auto& difference : differences) {
    if (difference.minute_ms < recounted.judged_from_ms) continue;
    ++differ_;
    print_(stream::to_text(difference));
  }
}

int RecountReport::finish() const {
  if (unjudged_until_ms_ > request_.from_ms) {
    tell_(cant_be_judged(request_, unjudged_until_ms_));
  }
  tell_(fmt::format("{} clicks in the range, {} minutes of ads compared, {} differ", clicks_,
                    compared_, differ_));
  return differ_ == 0 ? 0 : 1;
}

}  // namespace clickmill::tools
