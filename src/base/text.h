#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace clickmill {

/// Of ASCII letters; every other byte stays.
constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
std::string lower(std::string text);
/// Equal but for the case of ASCII letters, as names in HTTP and schemes in URLs are compared.
bool same_without_case(std::string_view a, std::string_view b);
bool starts_without_case(std::string_view text, std::string_view prefix);

/// Bytes of the well-formed UTF-8 character that begins at `at` (Unicode, table 3-7), or 0.
size_t utf8_length(std::string_view text, size_t at);
bool valid_utf8(std::string_view text);

/// `text` as a JSON string with its quotes; bytes that are no UTF-8 become U+FFFD.
std::string json_quoted(std::string_view text);

/// At most so many bytes of the front, without half a character at the end.
std::string_view cut_utf8(std::string_view text, size_t bytes_most);
/// `text` in quotes for an error's detail, cut when long.
std::string shown(std::string_view text);

/// 1 to `longest` bytes, each an ASCII letter, a digit or one of the others.
bool consists_of(std::string_view text, size_t longest, std::string_view besides_alnum);

}  // namespace clickmill
