#include "api/review_params.h"

#include <fmt/format.h>

#include <array>

#include "click/params.h"
#include "click/parse.h"

namespace clickmill::api {
namespace {

constexpr uint64_t kListMost = 1000;
constexpr uint64_t kOffsetMost = INT64_MAX;

void read_reason(Params& params, stream::ReviewQuery& out) {
  const std::string* text = params.find("reason");
  if (text == nullptr) return;
  out.reason = stream::reason_named(*text);
  if (!out.reason)
    params.fail("reason", click::shown(*text) +
                              " is none of late, clock_ahead, unknown_ad, "
                              "stale, double_click");
}

void read_after(Params& params, uint32_t partitions, std::optional<ReviewId>& out) {
  const std::string* text = params.find("after");
  if (text == nullptr) return;
  out = parse_review_id(*text, partitions);
  if (!out)
    params.fail("after", click::shown(*text) + " is no id of a flagged click, such as 12-81920");
}

}  // namespace

std::string to_string(ReviewId id) {
  return fmt::format("{}-{}", id.partition.value(), id.offset.value());
}

std::optional<ReviewId> parse_review_id(std::string_view text, uint32_t partitions) {
  const auto dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto partition = parse_number(text.substr(0, dash));
  const auto offset = parse_number(text.substr(dash + 1));
  if (!partition || !offset || *partition >= partitions || *offset > kOffsetMost)
    return std::nullopt;
  return ReviewId{PartitionId(static_cast<uint32_t>(*partition)), Offset(*offset)};
}

std::optional<ParamError> parse_review_params(const http::Request& request, bool paged,
                                              uint32_t partitions, ReviewParams& out) {
  Params params(request.query);
  if (paged) {
    params.expect_only({"reason", "ad_id", "from", "to", "after", "limit"});
  } else {
    params.expect_only({"reason", "ad_id", "from", "to"});
  }
  read_reason(params, out.query);
  click::read_id(params, "ad_id", out.query.ad_id);
  const TimeRange range = params.range({out.query.from_ms, out.query.to_ms});
  out.query.from_ms = range.from_ms;
  out.query.to_ms = range.to_ms;
  if (paged) {
    read_after(params, partitions, out.after);
    out.limit = params.number("limit", out.limit, 1, kListMost);
  }
  return params.failure();
}

}  // namespace clickmill::api
