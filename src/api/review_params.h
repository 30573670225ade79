#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/params.h"
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
  uint64_t limit = 100;
};
/// Fills `out`, or says which parameter is wrong. `paged`: after and limit are known.
std::optional<ParamError> parse_review_params(const http::Request& request, bool paged,
                                              uint32_t partitions, ReviewParams& out);

}  // namespace clickmill::api
