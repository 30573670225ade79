#include "http/multipart.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "http/media_type.h"

namespace clickmill::http {
namespace {

constexpr size_t kBoundaryBytesMax = 70;  // RFC 2046, 5.1.1

/// One delimiter line. `begin` is its first byte, the line break before it included.
struct Delimiter {
  size_t begin;
  size_t end;
  bool last;
};

bool ends_line(std::string_view text) { return text.starts_with('\n') || text.starts_with("\r\n"); }

/// What stands behind the dashes and the boundary decides whether it is one.
std::optional<Delimiter> delimiter_at(std::string_view body, size_t at, size_t behind) {
  std::string_view rest = body.substr(behind);
  size_t begin = at;
  if (begin > 0) --begin;
  if (begin > 0 && body[begin - 1] == '\r') --begin;
  if (rest.starts_with("--")) return Delimiter{begin, behind + 2, true};
  rest.remove_prefix(std::min(rest.find_first_not_of(" \t"), rest.size()));
  if (!ends_line(rest)) return std::nullopt;
  const size_t line_break = rest.front() == '\r' ? 2 : 1;
  return Delimiter{begin, body.size() - rest.size() + line_break, false};
}

std::optional<Delimiter> next_delimiter(std::string_view body, std::string_view dashed,
                                        size_t from) {
  for (size_t at = body.find(dashed, from); at != std::string_view::npos;
       at = body.find(dashed, at + 1)) {
    if (at != 0 && body[at - 1] != '\n') continue;
    if (auto found = delimiter_at(body, at, at + dashed.size())) return found;
  }
  return std::nullopt;
}

std::string_view cut_line(std::string_view& rest) {
  const size_t end = std::min(rest.find('\n'), rest.size());
  std::string_view line = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

/// Takes the head off a part; the name of its field, or nothing for a file and for what
/// doesn't say.
std::optional<std::string> cut_name(std::string_view& part) {
  std::optional<std::string> name;
  while (!part.empty()) {
    const std::string_view line = cut_line(part);
    if (line.empty()) break;
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    if (media_type(line.substr(0, colon)) != "content-disposition") continue;
    const std::string_view value = line.substr(colon + 1);
    const bool file = header_parameter(value, "filename") || header_parameter(value, "filename*");
    if (!file) name = header_parameter(value, "name");
  }
  return name;
}

}  // namespace

Result<QueryParams> parse_multipart(std::string_view content_type, std::string_view body) {
  const auto boundary = header_parameter(content_type, "boundary");
  if (!boundary || boundary->empty() || boundary->size() > kBoundaryBytesMax) {
    return Error(Errc::invalid, "multipart/form-data names no boundary of 1 to 70 characters");
  }
  const std::string dashed = "--" + *boundary;
  QueryParams params;
  auto before = next_delimiter(body, dashed, 0);
  while (before && !before->last) {
    const auto after = next_delimiter(body, dashed, before->end);
    // An empty part's delimiter shares its line break with the one before.
    if (!after) break;
    std::string_view part =
        body.substr(before->end, std::max(after->begin, before->end) - before->end);
    if (auto name = cut_name(part)) params.items.emplace_back(*std::move(name), std::string(part));
    before = after;
  }
  if (!before || !before->last) {
    return Error(Errc::invalid, "the multipart body doesn't end with its boundary");
  }
  return params;
}

}  // namespace clickmill::http
