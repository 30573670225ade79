#include "base/text.h"

#include <algorithm>
#include <cstdint>

namespace clickmill {
namespace {

constexpr char kHex[] = "0123456789abcdef";

bool is_continuation(std::string_view text, size_t at) {
  return at < text.size() && (static_cast<uint8_t>(text[at]) & 0xc0) == 0x80;
}

/// Length of the well-formed UTF-8 character at `at` (Unicode, table 3-7), or 0.
size_t utf8_length(std::string_view text, size_t at) {
  const auto first = static_cast<uint8_t>(text[at]);
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4 || !is_continuation(text, at + 1)) return 0;
  const auto second = static_cast<uint8_t>(text[at + 1]);
  if (first < 0xe0) return 2;
  if (first == 0xe0 && second < 0xa0) return 0;  // would fit in two bytes
  if (first == 0xed && second > 0x9f) return 0;  // a surrogate
  if (!is_continuation(text, at + 2)) return 0;
  if (first < 0xf0) return 3;
  if (first == 0xf0 && second < 0x90) return 0;  // would fit in three bytes
  if (first == 0xf4 && second > 0x8f) return 0;  // above U+10FFFF
  return is_continuation(text, at + 3) ? 4 : 0;
}

void append_escaped(std::string& out, char c) {
  switch (c) {
    case '"': out += "\\\""; return;
    case '\\': out += "\\\\"; return;
    case '\b': out += "\\b"; return;
    case '\f': out += "\\f"; return;
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    default: break;
  }
  const auto byte = static_cast<uint8_t>(c);
  if (byte >= 0x20) {
    out += c;
    return;
  }
  out += "\\u00";
  out += kHex[byte >> 4];
  out += kHex[byte & 15];
}

}  // namespace

std::string json_quoted(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 2);
  out += '"';
  for (size_t i = 0; i < text.size();) {
    const size_t length = utf8_length(text, i);
    if (length == 1) {
      append_escaped(out, text[i]);
    } else if (length == 0) {
      out += "\xef\xbf\xbd";
    } else {
      out.append(text, i, length);
    }
    i += std::max<size_t>(length, 1);
  }
  out += '"';
  return out;
}

}  // namespace clickmill
