#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace clickmill {

/// Percent-decoded, '+' left as it is (paths); empty optional for a broken escape.
std::optional<std::string> percent_decoded(std::string_view text);

/// The parameters of a query string or a form body, decoded, in order.
/// Errors are left to `broken` so that a click with junk beside it still counts.
struct QueryParams {
  std::vector<std::pair<std::string, std::string>> items;
  bool broken = false;  ///< some escape was malformed; that item is left out
  /// First of that name, or null.
  const std::string* find(std::string_view name) const;
};
QueryParams parse_query(std::string_view query);

}  // namespace clickmill
