#pragma once

#include <string>
#include <string_view>

namespace clickmill {

/// `text` as a JSON string with its quotes; bytes that are no UTF-8 become U+FFFD.
std::string json_quoted(std::string_view text);

}  // namespace clickmill
