#pragma once

#include <functional>
#include <string_view>

namespace clickmill {

/// Named instants at which a test can kill what runs: `fail_point("checkpoint.committed")`
/// calls the hook of this thread, if one is set; the hook throws to get out.
/// Compiled out of release builds. tests/stream/crash_points_test.cpp knows all names.
#ifdef NDEBUG
inline void fail_point(std::string_view) {}
#else
using FailHook = std::function<void(std::string_view name)>;
void fail_point(std::string_view name);
/// Empty: none. Thread: any; it holds for the calling thread only, so that two
/// engines in one process don't see each other's.
void set_fail_hook(FailHook hook);
#endif

}  // namespace clickmill
