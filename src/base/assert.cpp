#include "base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace clickmill {

void assertion_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "clickmill: invariant broken at %s:%d: %s\n", file, line, expression);
  std::abort();
}

}  // namespace clickmill
