#include "http/media_type.h"

#include <algorithm>

namespace clickmill::http {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t'; }

std::string lower_cased(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

/// Where the next semicolon outside of quotes stands, or the end.
size_t parameter_end(std::string_view text) {
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (quoted && text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      quoted = !quoted;
    } else if (text[i] == ';' && !quoted) {
      return i;
    }
  }
  return text.size();
}

std::string unquoted(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  if (!text.starts_with('"')) return std::string(text);
  text.remove_prefix(1);
  std::string out;
  for (size_t i = 0; i < text.size() && text[i] != '"'; ++i) {
    // Browsers escape a quote as %22, others as in RFC 9110; Windows paths have backslashes.
    const bool escape =
        text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == '"' || text[i + 1] == '\\');
    if (escape) ++i;
    out += text[i];
  }
  return out;
}

}  // namespace

std::string media_type(std::string_view header) {
  return lower_cased(header.substr(0, header.find(';')));
}

std::optional<std::string> header_parameter(std::string_view header, std::string_view name) {
  for (size_t end = parameter_end(header); end < header.size(); end = parameter_end(header)) {
    header.remove_prefix(end + 1);
    const auto parameter = header.substr(0, parameter_end(header));
    const size_t equals = parameter.find('=');
    if (equals == std::string_view::npos || lower_cased(parameter.substr(0, equals)) != name)
      continue;
    return unquoted(parameter.substr(equals + 1));
  }
  return std::nullopt;
}

}  // namespace clickmill::http
