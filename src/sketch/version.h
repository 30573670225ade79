#pragma once

#include <cstdint>

namespace clickmill::sketch {

/// High nibble of a sketch's first byte. The low nibble is 0 for the dense
/// form (dense.cpp) and the Rice parameter for the sparse one (sparse.cpp).
inline constexpr uint8_t kVersion = 1;

}  // namespace clickmill::sketch
