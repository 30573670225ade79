#pragma once

#include <cstddef>
#include <string_view>

namespace clickmill {

/// How many letters to add, leave out or change to make one of the other (Levenshtein).
/// Cost: the product of the lengths.
size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace clickmill
