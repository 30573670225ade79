#pragma once

#include <sys/resource.h>
#include <unistd.h>

namespace clickmill {

/// Lowers the calling thread's share of a busy core, for work that nobody waits for:
/// `nice` as in nice(1), 5 for what must keep up with the clicks, 10 for the rest.
/// Linux knows a priority per thread, under the name of its process's.
inline void give_way(int nice) { ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), nice); }

}  // namespace clickmill
