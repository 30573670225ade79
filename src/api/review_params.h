#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/query_params.h"
#include "base/strong.h"
#include "http/message.h"
#include "stream/review.h"

namespace clickmill::api {

/// A flagged click's id on the wire: "12-81920" is offset 81920 of partition 12.
struct ReviewId {
  PartitionId partition;
  Offset offset;
};
std::string to_string(ReviewId id);
/// Empty for anything but two numbers, the first below `partitions`.
std::optional<ReviewId> parse_review_id(std::string_view text, uint32_t partitions);

/// Parameters of the list of flagged clicks, and of a decision about all that match.
struct ReviewParams {
  stream::ReviewQuery query;  ///< reason, ad_id and the times only
  std::optional<ReviewId> after;
  size_t limit = 100;
};
/// Fills `out`, or gives the 400 that names the parameter. `paged`: after and limit are known.
std::optional<http::Response> parse_review_params(const http::Request& request, bool paged,
                                                  uint32_t partitions, ReviewParams& out);

/// The parts that other lists share: each gives the 400, or nothing.
std::optional<http::Response> parse_limit(std::string_view value, size_t& out);
std::optional<http::Response> parse_time(std::string_view name, std::string_view value,
                                         int64_t& out);
std::optional<http::Response> check_range(int64_t from_ms, int64_t to_ms);
http::Response unknown_parameter(std::string_view name);
/// 400 for a malformed escape or a parameter that is given twice.
std::optional<http::Response> check_query(const QueryParams& params);

}  // namespace clickmill::api
