#include "api/pools.h"

#include <algorithm>

namespace clickmill::api {
namespace {

// Beyond it a request is refused at once: it would have waited for seconds, and its sender
// have given up.
constexpr size_t kWaitingMost = 1024;
// Niceness of what nobody looks at while it runs.
constexpr int kGiveWay = 5;

}  // namespace

Pools::Pools(unsigned threads)
    : queries("query", std::max(2U, threads), kWaitingMost),
      bulk("bulk", std::max(2U, threads), kWaitingMost, kGiveWay),
      // One thread each: the catalog has one file, which is written and synced in order, and
      // two decisions about the same clicks would only find each other's.
      catalog("catalog", 1, kWaitingMost),
      decisions("decisions", 1, kWaitingMost, kGiveWay),
      nodes("nodes", std::max(2U, threads), kWaitingMost) {}

void Pools::stop() {
  for (TaskPool* const pool : {&queries, &bulk, &catalog, &decisions, &nodes}) pool->stop();
}

}  // namespace clickmill::api
