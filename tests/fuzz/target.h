#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "decoders/decoders.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

/// Makes a decoder a libFuzzer target. Valid bytes are thrown in now and then, so
/// that an empty corpus is no disadvantage.
#define CLICKMILL_FUZZ(decoder)                                                          \
  extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {              \
    decoder.check({reinterpret_cast<const char*>(data), size});                          \
    return 0;                                                                            \
  }                                                                                      \
  extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, \
                                            unsigned seed) {                             \
    if (seed % 64 != 0) return LLVMFuzzerMutate(data, size, max_size);                   \
    clickmill::Random random(seed);                                                      \
    const std::string example = decoder.example(random);                                 \
    const size_t length = example.size() < max_size ? example.size() : max_size;         \
    std::memcpy(data, example.data(), length);                                           \
    return length;                                                                       \
  }
