#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "sketch/sparse.h"

namespace clickmill::sketch {

/// The registers of the large form: the highest rank (0–53) among the hashes
/// that begin with the register's 12-bit number.
using Registers = std::array<uint8_t, 1U << kIndexBits>;

/// How many registers hold each rank. Room up to 63, for bytes not yet checked.
using Histogram = std::array<uint32_t, 1U << kRankBits>;
Histogram histogram_of(const Registers& registers);

/// Takes the higher of each pair of registers.
void raise(Registers& registers, const Registers& others);

/// Registers to bytes. Format: top of dense.cpp.
std::string encode_dense(const Registers& registers);
/// Errc::corrupt for anything but what encode_dense() writes for a set that is
/// too large for the sparse form.
Status decode_dense(std::string_view bytes, Registers& out);

}  // namespace clickmill::sketch
