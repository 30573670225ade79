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
/// A malformed escape stays as it is written, and `broken` says so: a click with junk beside
/// it still counts, and so does one whose id holds a bare percent sign.
struct QueryParams {
  std::vector<std::pair<std::string, std::string>> items;
  bool broken = false;  ///< some escape was malformed
  /// First of that name, or null.
  const std::string* find(std::string_view name) const;
};
/// `plus_kept_in`: the parameter in whose value a '+' is no blank.
QueryParams parse_query(std::string_view query, std::string_view plus_kept_in = {});

}  // namespace clickmill
