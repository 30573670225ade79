#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>

namespace clickmill {

/// Asks for huge pages behind those of the bytes that lie in whole ones: what is read
/// all over the place misses the TLB with nearly every access otherwise. Best before
/// the first write. Without effect where the system has none.
inline void want_huge_pages(void* bytes, size_t size) {
  constexpr uintptr_t kHugePage = 2 << 20;
  const auto begin = (reinterpret_cast<uintptr_t>(bytes) + kHugePage - 1) & ~(kHugePage - 1);
  const auto end = (reinterpret_cast<uintptr_t>(bytes) + size) & ~(kHugePage - 1);
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
}

}  // namespace clickmill
