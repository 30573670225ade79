#pragma once

namespace clickmill {

/// Prints the broken invariant and aborts: a process that is wrong about its
/// own state must not go on to write.
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line);

}  // namespace clickmill

/// Our own invariants, always checked. No byte from outside may reach one unchecked.
#define CM_ASSERT(expression)          \
  ((expression) ? static_cast<void>(0) \
                : ::clickmill::assertion_failed(#expression, __FILE__, __LINE__))

#ifdef NDEBUG
#define CM_DEBUG_ASSERT(expression) static_cast<void>(sizeof(!(expression)))
#else
#define CM_DEBUG_ASSERT(expression) CM_ASSERT(expression)
#endif
