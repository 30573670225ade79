#pragma once

#include <charconv>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <system_error>

namespace clickmill::tools {

/// A number as files and answers write it where JSON's would lose digits.
/// Throws std::invalid_argument for anything else, as a JSON reader would.
inline uint64_t from_hex(const std::string& text) {
  uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, failure] = std::from_chars(text.data(), end, number, 16);
  if (failure != std::errc{} || stop != end) throw std::invalid_argument(text + " is no number");
  return number;
}

}  // namespace clickmill::tools
