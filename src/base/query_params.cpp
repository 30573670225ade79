#include "base/query_params.h"

#include <algorithm>

namespace clickmill {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// A malformed escape is kept as it is written, as browsers do (URL standard,
/// percent-decode), and told.
std::string decoded(std::string_view text, bool plus_is_space, bool& broken) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const bool escape = text[i] == '%';
    const int high = escape && i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
    const int low = high >= 0 ? hex_value(text[i + 2]) : -1;
    if (low >= 0) {
      out += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      out += text[i] == '+' && plus_is_space ? ' ' : text[i];
      broken = broken || escape;
    }
  }
  return out;
}

}  // namespace

std::optional<std::string> percent_decoded(std::string_view text) {
  bool broken = false;
  auto out = decoded(text, false, broken);
  if (broken) return std::nullopt;
  return out;
}

const std::string* QueryParams::find(std::string_view name) const {
  const auto found = std::find_if(items.begin(), items.end(),
                                  [&](const auto& item) { return item.first == name; });
  return found == items.end() ? nullptr : &found->second;
}

QueryParams parse_query(std::string_view query, std::string_view plus_kept_in) {
  QueryParams params;
  while (!query.empty()) {
    const size_t end = std::min(query.find('&'), query.size());
    const std::string_view item = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (item.empty()) continue;
    const size_t equals = std::min(item.find('='), item.size());
    auto name = decoded(item.substr(0, equals), true, params.broken);
    const bool plus_is_space = plus_kept_in.empty() || name != plus_kept_in;
    auto value =
        decoded(item.substr(std::min(equals + 1, item.size())), plus_is_space, params.broken);
    params.items.emplace_back(std::move(name), std::move(value));
  }
  return params;
}

}  // namespace clickmill
