#include "query/plan.h"

#include <algorithm>

namespace clickmill::query {
namespace {

constexpr int64_t ceil_to(int64_t value, int64_t unit) { return floor_to(value + unit - 1, unit); }

/// Neighbours in one table become one piece: one scan for a year of days, not 365.
void push(store::Table table, int64_t from_ms, int64_t to_ms, Plan& plan) {
  if (from_ms >= to_ms) return;
  if (!plan.empty() && plan.back().table == table && plan.back().to_ms == from_ms) {
    plan.back().to_ms = to_ms;
  } else {
    plan.push_back({table, from_ms, to_ms});
  }
}

/// Whole units that the coarse table still has, the rest on both sides by `finer`.
template <typename Finer>
bool split(store::Table coarse, int64_t kept_ms, int64_t from_ms, int64_t to_ms, Plan& plan,
           const Finer& finer) {
  const int64_t begin = ceil_to(std::max(from_ms, kept_ms), bucket_ms(coarse));
  const int64_t end = floor_to(to_ms, bucket_ms(coarse));
  if (begin >= end) return finer(from_ms, to_ms);
  if (!finer(from_ms, begin)) return false;
  push(coarse, begin, end, plan);
  return finer(end, to_ms);
}

}  // namespace

bool append_stretch(int64_t from_ms, int64_t to_ms, const store::TableTimes& deleted, Plan& plan) {
  using store::Table;
  const auto kept = [&](Table table) { return deleted[static_cast<size_t>(table)]; };
  const auto minutes = [&](int64_t from, int64_t to) {
    if (from < to && from < kept(Table::minute)) return false;
    push(Table::minute, from, to, plan);
    return true;
  };
  const auto hours = [&](int64_t from, int64_t to) {
    return split(Table::hour, kept(Table::hour), from, to, plan, minutes);
  };
  return split(Table::day, kept(Table::day), from_ms, to_ms, plan, hours);
}

Result<Plan> plan_of(const BucketIndex& index, const store::TableTimes& deleted) {
  Plan plan;
  for (size_t i = 0; i < index.size(); ++i) {
    if (append_stretch(index.begin_ms(i), index.end_ms(i), deleted, plan)) continue;
    return Error(Errc::invalid, "from: rows that this needs have been deleted");
  }
  return plan;
}

}  // namespace clickmill::query
