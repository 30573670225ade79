#include "api/review_params.h"

#include <fmt/format.h>

#include <charconv>
#include <set>

#include "base/query_params.h"
#include "base/time_text.h"
#include "click/parse.h"

namespace clickmill::api {
namespace {

constexpr size_t kListMost = 1000;
constexpr uint64_t kOffsetMost = INT64_MAX;

template <typename T>
bool read_number(std::string_view text, T& out) {
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), out);
  return failure == std::errc() && end == text.data() + text.size();
}

std::optional<http::Response> parse_reason(std::string_view value, stream::ReviewQuery& out) {
  out.reason = stream::reason_named(value);
  if (out.reason) return std::nullopt;
  return http::problem(
      400,
      fmt::format("{} is none of late, clock_ahead, unknown_ad, stale, double_click",
                  click::shown(value)),
      "reason");
}

std::optional<http::Response> parse_ad_id(std::string_view value, stream::ReviewQuery& out) {
  out.ad_id = value;
  if (click::valid_ad_id(value)) return std::nullopt;
  return http::problem(
      400, click::shown(value) + " is not 1 to 64 characters of A-Z a-z 0-9 . _ : -", "ad_id");
}

std::optional<http::Response> parse_after(std::string_view value, uint32_t partitions,
                                          std::optional<ReviewId>& out) {
  out = parse_review_id(value, partitions);
  if (out) return std::nullopt;
  return http::problem(400, click::shown(value) + " is no id of a flagged click, such as 12-81920",
                       "after");
}

}  // namespace

std::string to_string(ReviewId id) {
  return fmt::format("{}-{}", id.partition.value(), id.offset.value());
}

std::optional<ReviewId> parse_review_id(std::string_view text, uint32_t partitions) {
  const auto dash = text.find('-');
  uint32_t partition = 0;
  uint64_t offset = 0;
  if (dash == std::string_view::npos || !read_number(text.substr(0, dash), partition) ||
      !read_number(text.substr(dash + 1), offset) || partition >= partitions ||
      offset > kOffsetMost) {
    return std::nullopt;
  }
  return ReviewId{PartitionId(partition), Offset(offset)};
}

std::optional<http::Response> parse_limit(std::string_view value, size_t& out) {
  if (read_number(value, out) && out >= 1 && out <= kListMost) return std::nullopt;
  return http::problem(
      400, fmt::format("{} is not a number from 1 to {}", click::shown(value), kListMost), "limit");
}

std::optional<http::Response> parse_time(std::string_view name, std::string_view value,
                                         int64_t& out) {
  const auto time = parse_typed_time(value);
  if (!time) return http::problem(400, click::shown(value) + ' ' + time.error().message(), name);
  out = time->ms;
  return std::nullopt;
}

std::optional<http::Response> check_range(int64_t from_ms, int64_t to_ms) {
  if (from_ms < to_ms) return std::nullopt;
  return http::problem(400, "to is not after from", "to");
}

http::Response unknown_parameter(std::string_view name) {
  return http::problem(400, "unknown parameter", name);
}

std::optional<http::Response> check_query(const QueryParams& params) {
  if (params.broken) return http::problem(400, "the query has a malformed percent escape");
  std::set<std::string_view> names;
  for (const auto& [name, value] : params.items) {
    if (!names.insert(name).second) return http::problem(400, "given more than once", name);
  }
  return std::nullopt;
}

std::optional<http::Response> parse_review_params(const http::Request& request, bool paged,
                                                  uint32_t partitions, ReviewParams& out) {
  const auto params = parse_query(request.query);
  if (auto refused = check_query(params)) return refused;
  for (const auto& [name, value] : params.items) {
    std::optional<http::Response> refused;
    if (name == "reason") {
      refused = parse_reason(value, out.query);
    } else if (name == "ad_id") {
      refused = parse_ad_id(value, out.query);
    } else if (name == "from") {
      refused = parse_time(name, value, out.query.from_ms);
    } else if (name == "to") {
      refused = parse_time(name, value, out.query.to_ms);
    } else if (paged && name == "after") {
      refused = parse_after(value, partitions, out.after);
    } else if (paged && name == "limit") {
      refused = parse_limit(value, out.limit);
    } else {
      refused = unknown_parameter(name);
    }
    if (refused) return refused;
  }
  return check_range(out.query.from_ms, out.query.to_ms);
}

}  // namespace clickmill::api
