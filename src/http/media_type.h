#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace clickmill::http {

/// What stands before the parameters of a header such as Content-Type, in lower case.
std::string media_type(std::string_view header);
/// The parameter of that name (lower case), its quotes and escapes taken off; empty when
/// there is none.
std::optional<std::string> header_parameter(std::string_view header, std::string_view name);

}  // namespace clickmill::http
