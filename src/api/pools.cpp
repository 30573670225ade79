#include "api/pools.h"

#include <algorithm>

namespace clickmill::api {
namespace {

constexpr size_t kWaitingMost = 1024;
constexpr int kGiveWay = 5;

}  // namespace

Pools::Pools(unsigned threads)
    : queries("query", std::max(2U, threads), kWaitingMost),
      bulk("bulk", std::max(2U, threads), kWaitingMost, kGiveWay),
      catalog("catalog", 1, kWaitingMost),
      decisions("decisions", 1, kWaitingMost, kGiveWay) {}

void Pools::stop() {
  for (TaskPool* const pool : {&queries, &bulk, &catalog, &decisions}) pool->stop();
}

}  // namespace clickmill::api
