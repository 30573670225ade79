#include "http/body_budget.h"

namespace clickmill::http {

bool BodyBudget::take(uint64_t bytes) {
  uint64_t before = held_;
  do {
    if (bytes > bytes_most_ || before > bytes_most_ - bytes) return false;
  } while (!held_.compare_exchange_weak(before, before + bytes));
  return true;
}

}  // namespace clickmill::http
