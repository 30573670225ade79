#pragma once

#include <functional>
#include <string>

namespace clickmill::tools {

/// Where a command's lines go; a test gathers them.
using Print = std::function<void(const std::string& line)>;

}  // namespace clickmill::tools
