#include "base/text.h"

#include <algorithm>
#include <cstdint>

namespace clickmill {
namespace {

constexpr char kHex[] = "0123456789abcdef";

bool is_continuation(std::string_view text, size_t at) {
  return at < text.size() && (static_cast<uint8_t>(text[at]) & 0xc0) == 0x80;
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

bool is_alnum(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

}  // namespace

std::string lower(std::string text) {
  for (char& c : text) c = lower(c);
  return text;
}

bool same_without_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

bool starts_without_case(std::string_view text, std::string_view prefix) {
  return same_without_case(text.substr(0, prefix.size()), prefix);
}

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

bool valid_utf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const size_t length = utf8_length(text, at);
    if (length == 0) return false;
    at += length;
  }
  return true;
}

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

std::string_view cut_utf8(std::string_view text, size_t bytes_most) {
  if (text.size() <= bytes_most) return text;
  // A character has at most three bytes behind its first one; what has more is no UTF-8.
  size_t end = bytes_most;
  while (end > 0 && bytes_most - end < 4 && (static_cast<uint8_t>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, bytes_most - end < 4 ? end : bytes_most);
}

std::string shown(std::string_view text) {
  constexpr size_t kShownBytes = 80;
  if (text.size() <= kShownBytes) return '"' + std::string(text) + '"';
  return '"' + std::string(cut_utf8(text, kShownBytes)) + "…\"";
}

bool consists_of(std::string_view text, size_t longest, std::string_view besides_alnum) {
  return !text.empty() && text.size() <= longest &&
         std::all_of(text.begin(), text.end(), [&](char c) {
           return is_alnum(c) || besides_alnum.find(c) != std::string_view::npos;
         });
}

}  // namespace clickmill
